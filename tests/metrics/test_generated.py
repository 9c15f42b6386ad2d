"""Scores of generated texts: against sacreBLEU's command, by hand, and what must hold of them."""

import random
import subprocess
import sys

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.metrics import generated
from roots_tf.storage.files import InputError

WORDS = st.sampled_from(["a", "the", "dog", "cat,", "runs.", "über", "Straße", "3.5", "(no)"])
SENTENCES = st.lists(WORDS, min_size=4, max_size=9).map(" ".join)
ROUGE = ("rouge1", "rouge2", "rougeLsum")


def without_words(texts, share, seed=0):
    rng = random.Random(seed)
    return [" ".join(w for w in text.split() if rng.random() > share) for text in texts]


@pytest.fixture(scope="module")
def multi30k(data):
    """English and German captions of a test set."""
    folder = data / "multi30k_en_de"
    return [
        (folder / f"test_2016_flickr.{code}").read_text("utf-8").split("\n")[:300]
        for code in ("en", "de")
    ]


def test_bleu_and_chrf_are_those_of_the_command_line(multi30k, tmp_path):
    references = multi30k[1]
    answers = without_words(references, 0.1)
    for name, texts in (("answers", answers), ("references", references)):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), "utf-8")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "answers", "-w", "6", "-f"]
    command += ["text", "-m", "bleu", "chrf"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    scores = generated.scores(answers, references)
    signatures = generated.signatures(answers, references)
    assert 50 < scores["bleu"] < 95
    for name, shown in (("bleu", "BLEU"), ("chrf", "chrF2")):
        assert f"{shown}|{signatures[name]} = {scores[name]:.6f}" in done.stdout


def test_chinese_is_scored_by_letters():
    answers, references = ["今天天气很好，我们去公园。"], ["今天天气不好，我们去公园。"]
    scores = generated.scores(answers, references)
    expected = sacrebleu.corpus_bleu(answers, [references], tokenize="zh").score
    assert scores["bleu"] == expected > 60
    assert scores["rouge1"] == pytest.approx(10 / 11)  # without the marks
    assert scores["rouge2"] == pytest.approx(8 / 10)
    assert generated.scores(answers, references, "other")["bleu"] < 20  # one word, as of 13a


def test_rouge_of_a_summary_parts_its_sentences():
    reference = "Cats sleep here. Two dogs run home."
    answer = "Two dogs run home. Cats sleep here."
    scores = generated.scores([answer], [reference], "en")
    assert scores["rougeLsum"] == 1  # as one sentence the longest common subsequence is 4 of 7
    assert scores["rouge2"] == pytest.approx(5 / 6)  # "here two" is not there
    lines = generated.scores([answer.replace(". ", "\n")], [reference.replace(". ", "\n")], "en")
    assert lines == scores | {"bleu": lines["bleu"], "chrf": lines["chrf"]}


def test_rouge_of_a_summary_by_hand():
    """Lin 2004, section 3.2: w1 ... w5, and w1 w2 w6 w7 w8 with w1 w3 w8 w9 w5, share four."""
    answer = "one two six seven eight\none three eight nine five"
    scores = generated.scores([answer], ["one two three four five"], "other")
    recall, precision = 4 / 5, 4 / 10
    assert scores["rougeLsum"] == pytest.approx(2 * recall * precision / (recall + precision))


@pytest.mark.parametrize(
    ("language", "answer", "reference", "rouge1"),
    [
        ("en", "The dogs are running", "a dog runs", 4 / 7),  # of stems "dog" and "run"
        ("de", "schöne Straßen", "schöne Häuser", 1 / 2),  # by a to z also "h", "sch", "e" ...
        ("other", "Москва столица", "Столица России", 1 / 2),  # by a to z nothing
        ("th", "น้ำใส", "น้ำ", 4 / 6),  # a letter with its marks is one
    ],
)
def test_words_of_rouge(language, answer, reference, rouge1):
    scores = generated.scores([answer], [reference], language)
    assert scores["rouge1"] == pytest.approx(rouge1)


def test_empty_texts():
    nothing = dict.fromkeys(("bleu", "chrf", *ROUGE), 0.0)
    assert generated.scores([""], ["a b c d"]) == nothing | {"exact_match": 0}
    assert generated.scores(["a b c d"], [""]) == nothing | {"exact_match": 0}
    assert generated.scores(["", " \n"], ["", ""]) == nothing | {"exact_match": 1}
    whole = generated.scores(["a b c d", ""], ["a b c d", ""])
    assert (whole["bleu"], whole["rouge1"], whole["exact_match"]) == (pytest.approx(100), 0.5, 1)
    short = generated.scores(["a b c d", ""], ["a b c d", "e f g h"])
    assert short["bleu"] == pytest.approx(100 * 2.718281828 ** (1 - 8 / 4))  # the brevity penalty
    assert generated.scores(["a b c"], ["a b c"])["bleu"] == 0  # no four tokens, as sacreBLEU says


def test_answers_and_references_are_as_many():
    for answers, references in (([], []), (["a"], []), (["a"], ["a", "b"])):
        with pytest.raises(ValueError, match=f"found {len(answers)} answers and {len(references)}"):
            generated.scores(answers, references)


@settings(max_examples=20)
@given(st.lists(SENTENCES, min_size=1, max_size=6), st.sampled_from(["en", "de", "auto"]))
def test_texts_against_themselves(texts, language):
    scores = generated.scores([f" {text}\n" for text in texts], texts, language)
    wanted = {"bleu": 100, "chrf": 100, **dict.fromkeys(ROUGE, 1), "exact_match": 1}
    assert scores == pytest.approx(wanted)


@settings(max_examples=20)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=2, max_size=6), st.randoms())
def test_the_order_of_examples_does_not_matter(pairs, rng):
    before = generated.scores(*zip(*pairs, strict=True), "de")
    rng.shuffle(pairs)
    assert generated.scores(*zip(*pairs, strict=True), "de") == pytest.approx(before)


@pytest.mark.parametrize(
    ("references", "language", "tokens"),
    [
        (["The dog is in the garden."], "en", "13a"),
        (["Der Hund ist in dem Garten."], "de", "13a"),
        (["Москва - столица России, и в ней живут миллионы людей."], "other", "13a"),
        (["今天天气很好。"], "zh", "zh"),
        (["น้ำใสมากวันนี้"], "th", "char"),
    ],
)
def test_the_script_of_the_references_decides(references, language, tokens):
    assert generated.language_of(references) == language
    assert f"|tok:{tokens}|" in generated.signatures(["a"], references)["bleu"]


@pytest.mark.parametrize(
    ("references", "language"),
    [(["今日は天気がいいです。"], "ja"), (["오늘은 날씨가 좋습니다."], "ko")],
)
def test_words_of_mecab_where_it_is_installed(references, language, monkeypatch):
    assert generated.language_of(references) == language
    find_spec = generated.importlib.util.find_spec
    for is_there, tokenizer in ((True, f"{language}-mecab"), (False, "char")):
        monkeypatch.setattr(
            "importlib.util.find_spec",
            lambda name, *rest, there=is_there: (
                there or None if name in sum(generated._MECAB.values(), ()) else find_spec(name)
            ),
        )
        assert generated._tokenizer(language) == tokenizer
    signature = generated.signatures(references, references)["bleu"]
    assert "|tok:char|" in signature
    assert generated.scores(references, references)["bleu"] == pytest.approx(100)


def test_signatures_name_every_score():
    signatures = generated.signatures(["a b"], ["a c"], "en")
    assert signatures.keys() == generated.scores(["a b"], ["a c"], "en").keys()
    version = sacrebleu.__version__
    assert signatures["bleu"] == (f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}")
    assert signatures["chrf"] == (
        f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}"
    )
    assert signatures["rouge1"].startswith("nrefs:1|f:1|tok:rouge-score|stem:porter|version:0.1.")
    assert (
        "|tok:roots-tf|stem:no|sentences:sentencex-"
        in (generated.signatures([""], [""], "zh")["rougeLsum"])
    )


def test_trivial_answers():
    sources = ["One dog. Two cats. Three birds. Four fish.", "A red car"]
    references = ["One dog.", "Ein rotes Auto"]
    train = (["the blue boat", "my red car"], ["das blaue Boot", "Ein rotes Auto"])
    found = generated.trivial(sources, references, *train)
    assert list(found) == ["copy", "lead1", "lead3", "nearest"]
    assert {name: scores["exact_match"] for name, scores in found.items()} == {
        "copy": 0, "lead1": 0.5, "lead3": 0, "nearest": 0.5,
    }  # fmt: skip
    assert found["copy"] == generated.scores(sources, references)
    lead3 = ["One dog. Two cats. Three birds.", "A red car"]
    assert found["lead3"] == generated.scores(lead3, references)
    assert list(generated.trivial(sources, references)) == ["copy", "lead1", "lead3"]


def test_trivial_answers_of_captions(multi30k):
    english, german = (texts[:100] for texts in multi30k)
    found = generated.trivial(english, german, english[::-1], german[::-1])
    assert found["nearest"]["bleu"] > 99  # each source is among those of training
    assert found["copy"]["bleu"] < 5


def test_without_the_packages_the_extra_is_named(monkeypatch):
    find_spec = generated.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "sacrebleu" else find_spec(name)
    )
    with pytest.raises(InputError, match=r"no package sacrebleu, .*'roots-tf\[scores\]'"):
        generated.scores(["a"], ["b"])
