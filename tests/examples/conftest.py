"""A small corpus of real prose, a vocabulary trained on it, and the examples built from both."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers as hf_tokenizers

from pipelines import build_examples
from roots_tf import examples, tokenizers


class Built(NamedTuple):
    folder: Path
    manifest: dict
    tokenizer: tokenizers.Tokenizer
    documents: Path


def paragraphs(path: Path) -> list[str]:
    text = path.read_text("utf-8-sig").replace("\r\n", "\n")
    return [" ".join(p.split()) for p in text.split("\n\n") if p.strip()]


def write_documents(folder: Path, texts: list[str], num_shards: int, row_group_size=40) -> Path:
    """Documents as curate writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(num_shards):
        part = texts[i::num_shards]
        ids = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in part]
        table = pa.table({"id": ids, "text": part, "source": ["novels"] * len(part)})
        name = f"documents-{i:05d}-of-{num_shards:05d}.parquet"
        pq.write_table(table, folder / name, row_group_size=row_group_size)
    return folder


@pytest.fixture(scope="session")
def texts(novels) -> list[str]:
    """1.4 MB of English prose in documents of ten paragraphs."""
    names = {"Burnett_Garden_1911", "Doyle_Hound_1902", "Burnett_Princess_1905", "Ford_Girl_1907"}
    books = sorted(novels.glob("*.txt"))
    found = []
    for path in [path for path in books if path.stem in names] or books:
        lines = paragraphs(path)
        found += ["\n".join(lines[i : i + 10]) for i in range(0, len(lines), 10)]
    return found


@pytest.fixture(scope="session")
def documents(texts, tmp_path_factory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents"), texts, num_shards=3)


@pytest.fixture(scope="session")
def vocabulary(texts, tmp_path_factory) -> Path:
    """Folder of a WordPiece tokenizer of 3,000 entries."""
    backend = hf_tokenizers.Tokenizer(hf_tokenizers.models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = hf_tokenizers.normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = hf_tokenizers.pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = hf_tokenizers.trainers.WordPieceTrainer(
        vocab_size=3000, special_tokens=special, show_progress=False
    )
    backend.train_from_iterator(texts[::3], trainer)
    folder = tmp_path_factory.mktemp("vocabulary")
    backend.save(str(folder / "tokenizer.json"))
    return folder


def build(documents: Path, vocabulary: Path, output: Path, **flags) -> Built:
    flags = {"max_seq_length": 64, "num_shards": 3, "num_workers": 1} | flags
    config = build_examples.Config(
        input=(str(documents),), tokenizer=str(vocabulary), output=str(output), **flags
    )
    build_examples.main(config)
    tokenizer = tokenizers.load(output / "tokenizer")
    return Built(output, examples.load(output), tokenizer, documents)


@pytest.fixture(scope="session")
def built(documents, vocabulary, tmp_path_factory) -> Built:
    output = tmp_path_factory.mktemp("examples")
    return build(documents, vocabulary, output, held_out=0.05)


@pytest.fixture(scope="session")
def contiguous(documents, vocabulary, tmp_path_factory) -> Built:
    """The same documents as contiguous text."""
    output = tmp_path_factory.mktemp("contiguous")
    return build(documents, vocabulary, output, held_out=0.05, layout="contiguous")
