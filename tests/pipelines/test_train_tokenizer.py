import json

import pyarrow
import pyarrow.parquet
import pytest

from pipelines import train_tokenizer
from roots_tf import program, tokenizers
from roots_tf.storage import files

LINES = ["The quick brown fox.", "The lazy dog; the fox!", "Über den Fluss."] * 4


def test_parquet_and_text_give_the_same_vocabulary(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n".join(LINES), "utf-8")
    table = pyarrow.table(
        {"id": [str(i) for i in range(12)], "text": LINES, "source": ["x", "y", "y"] * 4}
    )
    pyarrow.parquet.write_table(table, tmp_path / "documents-00000-of-00001.parquet")
    fingerprints = set()
    for name in ("a.txt", "documents-00000-of-00001.parquet"):
        output = tmp_path / f"of-{name}"
        train_tokenizer.main(
            train_tokenizer.Config(
                input=(str(tmp_path / name),), output=str(output), vocab_size=100, multiple_of=8
            )
        )
        fingerprints.add(tokenizers.load(output).fingerprint)
    assert len(fingerprints) == 1
    report = json.loads((output / "report.json").read_text("utf-8"))
    assert set(report["sources"]) == {"x", "y", "(all)"}
    assert report["sources"]["(all)"]["coverage_percent"] == 100
    assert report["sources"]["(all)"]["words"] == sum(len(line.split()) for line in LINES)
    assert report["vocab_size"] % 8 == 0
    assert report["peak_memory_mb"] > 0
    assert "tokens/word" in capsys.readouterr().out
    config = json.loads((output / "config.json").read_text("utf-8"))
    assert config["multiple_of"] == 8


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
def test_every_model_on_real_text(novels, tmp_path, model):
    train_tokenizer.main(
        train_tokenizer.Config(
            input=(str(novels),),
            output=str(tmp_path),
            model=model,
            vocab_size=3000,
            lowercase=False,
            debug=True,
        )
    )
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["vocab_size"] <= 3000
    everything = report["sources"]["(all)"]
    assert everything["coverage_percent"] > (99.9 if model == "bpe" else 90)
    assert 1 < everything["tokens_per_word"] < (9 if model == "character" else 6)


def test_a_vocabulary_of_a_mixture(tmp_path):
    (tmp_path / "zh.txt").write_text("国家主席\n" * 2, "utf-8")
    (tmp_path / "en.txt").write_text("sea ships sail far away home\n" * 50, "utf-8")
    named = (f"zh={tmp_path}/zh.txt", f"en={tmp_path}/en.txt")

    def train(name, **flags):
        output = tmp_path / name
        train_tokenizer.main(
            program.make(
                train_tokenizer.Config,
                **{"input": named, "output": str(output), "vocab_size": 60} | flags,
            )
        )
        report = json.loads((output / "report.json").read_text("utf-8"))
        return set(tokenizers.load(output).vocabulary), report

    plain, report = train("plain", input=tuple(name.partition("=")[2] for name in named))
    assert "mixture" not in report
    same, report = train("same")  # as they are
    assert same == plain
    assert report["mixture"]["zh"] == {"bytes": 24, "share": 24 / 1424, "factor": 1.0}
    equal, report = train("equal", mixture_alpha=0.0)
    assert report["mixture"]["zh"]["share"] == 0.5
    assert report["mixture"]["zh"]["factor"] == pytest.approx(1424 / 48)
    weighted, _ = train("weighted", mixture_weights=("zh=1", "en=1"))
    assert weighted == equal
    for flags, message in (
        ({"input": named[:1]}, "found one source"),
        ({"mixture_weights": ("zh=1", "fr=1")}, "found --mixture_weights of fr, zh for sources"),
        ({"input": (*named, f"de={tmp_path}/en.txt")}, "in the sources en and de|de and en"),
        ({"input": (str(tmp_path / "en.txt"),), "mixture_alpha": 0.3}, "without named sources"),
    ):
        with pytest.raises(files.InputError, match=message):
            train("no", **flags)
