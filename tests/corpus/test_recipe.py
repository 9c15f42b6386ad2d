from pathlib import Path

import pytest

from roots_tf.corpus import cleaning, recipe
from roots_tf.corpus.recipe import Step
from roots_tf.storage.files import InputError


def load(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return recipe.load(str(path))


def entry(name, rest=""):
    return f'[[steps]]\nname = "{name}"\n{rest}\n'


@pytest.mark.parametrize("name", ["books", "web"])
def test_the_recipes_of_the_package(name):
    steps = recipe.load(name)
    assert steps[0].name == "extract"
    assert "exact_duplicates" in [step.name for step in steps]


def test_a_recipe_that_changes_no_text():
    assert [step.name for step in recipe.load("verbatim")] == ["exact_duplicates"]


def test_every_step_is_a_frozen_dataclass_with_defaults():
    model = str(Path(__file__).with_name("fasttext_tree.bin"))
    required = {"sample": {"keep": 0.5}, "decontaminate": {"evaluation_files": [__file__]}}
    required["classifier"] = {"model": model}
    for name in recipe.DOCUMENT_STEPS | recipe.CORPUS_STEPS:
        step = recipe.build(Step(name, required.get(name, {})))
        assert type(step).__dataclass_params__.frozen, name
        assert callable(step) == (name in recipe.DOCUMENT_STEPS), name


def test_evaluation_files_are_found_from_the_folder_of_the_command(tmp_path, monkeypatch):
    (tmp_path / "sets").mkdir()
    for name in ("b.txt", "a.txt"):
        (tmp_path / "sets" / name).touch()
    monkeypatch.chdir(tmp_path)
    steps = load(tmp_path, entry("decontaminate", "evaluation_files = ['sets']") + entry("repair"))
    found = [str(tmp_path / "sets" / name) for name in ("a.txt", "b.txt")]
    assert steps[0].parameters["evaluation_files"] == recipe.files_read(steps) == found


def test_parameters_and_languages(tmp_path):
    steps = load(
        tmp_path,
        entry("basic_quality", "min_chars = 5\nmax_unreadable = 1\nlanguages = ['en']")
        + entry("exact_duplicates"),
    )
    assert steps == [
        Step("basic_quality", {"min_chars": 5, "max_unreadable": 1}, ["en"]),
        Step("exact_duplicates", {}, []),
    ]
    assert recipe.build(steps[0]) == cleaning.BasicQuality(min_chars=5, max_unreadable=1)
    assert recipe.build(list(steps[0])) is recipe.build(steps[0])  # loads once


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry("repiar"), "found a step of name 'repiar'; wanted one of .*did you mean repair"),
        (
            entry("repair", "mojibak = true"),
            "parameter 'mojibak' of .* repair.*mean mojibake",
        ),
        (entry("repair", "mojibake = 1"), "mojibake = 1 .*wanted true or false such as False"),
        (entry("basic_quality", "min_chars = 'x'"), "wanted a whole number such as 100"),
        (entry("basic_quality", "min_chars = true"), "wanted a whole number"),
        (entry("language", "min_score = nan"), "min_score = nan .*wanted a number from 0 to 1"),
        (entry("symbols", "max_bullet_lines = 1.5"), "wanted a number from 0 to 1"),
        (entry("symbols", "max_hashes_per_word = inf"), "wanted a number from 0 to"),
        (entry("length", "min_words = -1"), "min_words = -1 in the step length; wanted a number"),
        (entry("near_duplicates", "bands = -1"), "wanted a number from 0 to"),
        (entry("sample", "sources = {'a*' = nan}"), "wanted a number from 0 to"),
        (entry("decontaminate", "evaluation_files = [1]"), r"evaluation_files = \(1,\) .*an array"),
        (entry("decontaminate", "evaluation_files = ['none']"), "no file that matches 'none'"),
        (entry("repair", "languages = 'en'"), "languages = 'en'.*wanted a list of codes"),
        (entry("exact_duplicates", "languages = ['en']"), "in document steps only"),
        (entry("exact_duplicates") + entry("repair"), "document steps before"),
        (entry("exact_duplicates") * 2, "at most once"),
        (entry("near_duplicates") + entry("exact_duplicates"), "in this order"),
        ("steps = [1]", "found a step of name None"),
        ("[[step]]\nname = 'repair'", r"found step in .*wanted \[\[steps\]\]"),
        ("steps = 3", "wanted .*steps.* tables"),
        ("[[steps]\n", "found no TOML"),
    ],
)
def test_mistakes(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, text)
    assert "mine.toml" in str(caught.value)


def test_a_recipe_that_is_not_there():
    with pytest.raises(
        InputError, match=r"could not read the recipe no/such.*books, verbatim, web"
    ):
        recipe.load("no/such.toml")
