import json

import pyarrow
import pyarrow.parquet
import pytest

from pipelines import train_tokenizer
from roots_tf import tokenizers

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


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram"])
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
    assert 1 < everything["tokens_per_word"] < 6
