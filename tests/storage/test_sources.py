"""Named sources: the one parser of `name=path,...`, shares, files of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.storage import claims, files, paths, sources
from roots_tf.storage.sources import Mixing


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt", "Lu, Xun.txt", "lr=3", "zh=is a file"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a.txt", {}),
        ("a.txt,b.txt", {}),
        ("zh=is a file", {}),  # it is there
        ("runs/lr=3/examples", {}),  # no name holds "/"
        ("zh=a.txt,en=b.txt", {"en": "b.txt", "zh": "a.txt"}),
        (" zh = a.txt , en=b.txt", {"en": "b.txt", "zh": "a.txt"}),
        ("zh=Lu, Xun.txt,en=b.txt", {"en": "b.txt", "zh": "Lu, Xun.txt"}),
        ('"zh=absent, too.txt",en=b.txt', {"en": "b.txt", "zh": "absent, too.txt"}),
        ("zh=lr=3,en=x/lr=4/y", {"en": "x/lr=4/y", "zh": "lr=3"}),
        ("zh-Hant=a.txt,中文=b.txt", {"zh-Hant": "a.txt", "中文": "b.txt"}),
        ("zh=*.txt,en=b.txt", {"en": "b.txt", "zh": "*.txt"}),
    ],
)
def test_names_and_paths(here, text, expected):
    assert sources.split(text) == expected
    assert sources.split(paths.split_list(text)) == expected  # as a flag that is a list gives it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zh=a.txt", "found one source, zh=a.txt; wanted two or more"),
        ("zh=a.txt,zh=b.txt", "found the source zh twice"),
        ("zh=a.txt,=b.txt", "found '=b.txt' among named sources"),
        ("zh=a.txt,en=", "found 'en=' among"),
        ("zh=a.txt,b.txt", "found 'b.txt' among"),
        ("zh=a.txt,a b=b.txt", "found 'a b=b.txt' among"),
        ("zh=a.txt,", "found '' among"),
    ],
)
def test_names_without_sense(here, text, message):
    with pytest.raises(files.InputError, match=message):
        sources.split(text)


def test_the_files_of_each_source(here):
    found = sources.expand({"zh": "Lu*.txt", "en": "[ab].txt"})
    assert found == {"zh": [f"{here}/Lu, Xun.txt"], "en": [f"{here}/a.txt", f"{here}/b.txt"]}
    with pytest.raises(files.InputError, match="a.txt in the sources zh and en; wanted it in one"):
        sources.expand({"zh": "*.txt", "en": "a.txt"})


def test_the_content_of_each_source_is_told(here):
    found = claims.content("zh=a.txt,en=b.txt")
    assert found == {"en": claims.content("b.txt"), "zh": claims.content("a.txt")}
    assert claims.content(("en=b.txt", "zh=a.txt")) == found


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=2))
def test_shares_by_alpha(sizes):
    shares = {a: Mixing(mixture_alpha=a).shares(sizes) for a in (0.0, 0.5, 1.0)}
    for found in shares.values():
        assert sum(found.values()) == pytest.approx(1)
    first, *others = sizes
    for name in others:
        ratio = sizes[first] / sizes[name]
        assert shares[0.5][first] / shares[0.5][name] == pytest.approx(ratio**0.5)
    assert max(shares[0.0].values()) == pytest.approx(1 / len(sizes))


def test_what_does_not_go_together():
    sizes = {"zh": 1.0, "en": 1.0}
    for mixing, message in (
        (Mixing(mixture_alpha=0.3, mixture_weights=("zh=1", "en=1")), "wanted one or the other"),
        (Mixing(mixture_weights=("zh=1",)), "a weight for each of them"),
        (Mixing(mixture_weights=("zh=1", "en=inf")), "found 'en=inf'"),
        (Mixing(mixture_weights=("zh=1e6", "en=1e-6")), "found a share of 1e-12 for en"),
    ):
        with pytest.raises(files.InputError, match=message):
            mixing.shares(sizes)
    with pytest.raises(files.InputError, match="found nothing in the source en"):
        Mixing().shares({"zh": 1.0, "en": 0})
