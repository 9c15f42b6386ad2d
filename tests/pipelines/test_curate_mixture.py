"""`curate` with named sources: names in the documents, shares of bytes, what is refused."""

import json

import pytest

from pipelines import curate
from roots_tf import program
from roots_tf.storage import files
from tests.pipelines.curated import report, rows


@pytest.fixture
def named(tmp_path):
    for name, count in (("en", 300), ("zh", 30)):
        texts = [
            f"The {name} ship number {i} sailed home. Nobody saw it." * 3 for i in range(count)
        ]
        (tmp_path / f"{name}, all.txt").write_text("\n\n".join(texts), "utf-8")
    return f"zh={tmp_path}/zh, all.txt", f"en={tmp_path}/en, all.txt"


def curated(tmp_path, named, name, **flags):
    values = {"input": named, "output": str(tmp_path / name), "num_workers": 1} | flags
    curate.main(program.make(curate.Config, **values))
    return rows(tmp_path / name)


def test_sources_are_named_and_have_their_shares(tmp_path, named, capsys):
    everything = curated(tmp_path, named, "all")
    assert {row["source"] for row in everything} == {"zh", "en"}
    assert json.loads(everything[0]["metadata"])["source"].endswith(", all.txt")
    assert len(everything) == 330
    equal = curated(tmp_path, named, "equal", mixture_alpha=0.0)
    counts = {name: sum(row["source"] == name for row in equal) for name in ("zh", "en")}
    assert counts["zh"] == 30
    assert 15 < counts["en"] < 50
    assert [row for row in everything if row["source"] == "zh"] == [
        row for row in equal if row["source"] == "zh"
    ]
    [en, zh] = report(tmp_path / "equal")["mixture"]["sources"]
    assert (en["source"], en["share"], en["kept"]) == ("en", 0.5, counts["en"])
    assert zh["rate"] == 1
    assert "wanted 50.00 % of the mixture" in capsys.readouterr().out
    assert "beyond its share" in (tmp_path / "equal" / "report.html").read_text("utf-8")
    before = (tmp_path / "equal" / "report.json").stat().st_mtime_ns
    curated(tmp_path, named[::-1], "equal", mixture_alpha=0.0)  # the same, in another order
    assert (tmp_path / "equal" / "report.json").stat().st_mtime_ns == before


def test_mistakes(tmp_path, named):
    plain = named[0].partition("=")[2]
    for flags, message in (
        ({"input": (plain,), "mixture_alpha": 0.3}, "found --mixture_alpha without named sources"),
        ({"input": (plain,), "mixture_bytes": 9}, "found --mixture_bytes without named sources"),
        ({"input": named[:1]}, "found one source"),
        ({"input": (*named, f"fr={plain}")}, "in the sources fr and zh"),
        ({"mixture_weights": ("zh=1",)}, "a weight for each of them"),
    ):
        with pytest.raises(files.InputError, match=message):
            curated(tmp_path, named, "no", **flags)
    assert not (tmp_path / "no").exists()
