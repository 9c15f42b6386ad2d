"""The manifest of an examples folder: what the build wrote, and what a reader must know first.

manifest.json            counts, sizes and checksums, the config, the tokenizer's fingerprint
unigram_counts.npy       how often each id occurs in the training split, int64 [V]
tokenizer/               the tokenizer's own files
examples-00000-of-000NN.tfrecord     the training split
held_out-00000-of-000NN.tfrecord     documents that are never trained on
"""

import dataclasses
import os
import re
from pathlib import Path
from typing import Literal

from roots_tf.examples import google_records, records
from roots_tf.storage import files, listings, neighbours, ranges, schema, urls
from roots_tf.storage.schema import number

NAME = "manifest.json"
FORMAT = 2  # the one that is written
FORMATS = 1, 2  # those that are read; 1, of versions 0.1 and 0.2, has no starts of words
UNIGRAM_COUNTS = "unigram_counts.npy"
TOKENIZER = "tokenizer"
STEMS = {"train": "examples", "held_out": "held_out"}
SUFFIX = ".tfrecord"
LAYOUTS = PAIRS, CONTIGUOUS, TRANSLATION = "pairs", "contiguous", "translation"


@dataclasses.dataclass(frozen=True)
class Shard:
    """What the manifest says of a file of records.

    `singles` are counted in pairs alone; `ends`, the records with which a document ends, in
    contiguous text, and not in older builds.
    """

    name: str
    sha256: str
    bytes: int = number(minimum=0, maximum=1 << 50)
    examples: int = number(minimum=0, maximum=1 << 50)
    tokens: int = number(minimum=0, maximum=1 << 50)
    singles: int | None = number(None, minimum=0, maximum=1 << 50)
    ends: int | None = number(None, minimum=0, maximum=1 << 50)

    def __post_init__(self):
        if (self.ends or 0) > self.examples:
            raise files.InputError(
                "wrong-json",
                f"found {self.ends} ends of documents among {self.examples} examples of "
                f"{self.name}; wanted no more",
            )
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise files.InputError(
                "wrong-json", f"found a shard {self.name!r}; wanted the name of a file"
            )
        # Whoever reads makes room for as many records as this says.
        if self.examples * records.FRAME_BYTES + 2 * self.tokens > self.bytes:
            raise files.InputError(
                "wrong-json",
                f"found {self.examples} examples of {self.tokens} tokens in {self.bytes} bytes of "
                f"{self.name}; wanted no more than there is room for",
            )


@dataclasses.dataclass(frozen=True)
class Split:
    """What the manifest says of the documents of one split."""

    shards: tuple[Shard, ...]
    documents: int = number(minimum=0, maximum=1 << 50)
    examples: int = number(minimum=0, maximum=1 << 50)
    tokens: int = number(minimum=0, maximum=1 << 60)
    sentences: int | None = number(None, minimum=0, maximum=1 << 60)
    singles: int | None = number(None, minimum=0, maximum=1 << 50)

    def __post_init__(self):
        for name in ("examples", "tokens", "singles"):
            whole, parts = (
                sum(getattr(part, name) or 0 for part in counted)
                for counted in ((self,), self.shards)
            )
            if whole != parts:
                raise files.InputError(
                    "wrong-json",
                    f"found {whole} {name} of a split and {parts} in its shards; wanted as many",
                )
        if (self.singles or 0) > self.examples:
            raise files.InputError(
                "wrong-json",
                f"found {self.singles} singles among {self.examples} examples; wanted no more",
            )


@dataclasses.dataclass(frozen=True)
class Splits:
    """The two splits."""

    train: Split
    held_out: Split


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The tokenizer that the examples were made with."""

    fingerprint: str
    size: int = number(minimum=1, maximum=1 << 24)


@dataclasses.dataclass(frozen=True)
class Words:
    """What the manifest says of words, measured in the training split; see `word_lengths`.

    Attributes:
        segmentation: as `--word_segmentation` has it.
        segmenters: what cut the languages without spaces that were found, with its version.
        remarks: what there is to know of these, such as an extra that is not installed.
        languages: documents by the language that they were cut by.
        undeclared: of these, those that did not say their language.
        tokens: words measured by their tokens: how many have 1, 2, ...; the last, so many or more.
        characters: the same by their characters.
        measured_tokens: tokens in the words that were measured.
        unspaced_percent: tokens with letters of scripts without spaces.
    """

    segmentation: str
    segmenters: dict[str, str]
    remarks: tuple[str, ...]
    languages: dict[str, int]
    undeclared: dict[str, int]
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    measured_tokens: int = number(minimum=0, maximum=1 << 60)
    unspaced_percent: float = number(minimum=0, maximum=100)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is read of `manifest.json`, which says more to people."""

    build: str
    word: Literal["uint16", "int32"]
    tokenizer: Vocabulary
    splits: Splits
    max_seq_length: int = number(minimum=8, maximum=1 << 20)
    format: int = number(1, minimum=1, maximum=FORMAT)
    layout: Literal["pairs", "contiguous", "translation"] = PAIRS
    word_starts: Literal["words", "groups"] | None = None
    words: Words | None = None
    unigram_entropy: float | None = None
    unknown_percent: float = number(0.0, minimum=0, maximum=100)
    padding_percent: float = number(0.0, minimum=0, maximum=100)

    def __post_init__(self):
        if self.word != records.word_dtype(self.tokenizer.size):
            raise files.InputError(
                "wrong-json",
                f"found words of {self.word} and {self.tokenizer.size} ids; wanted "
                f"{records.word_dtype(self.tokenizer.size)}",
            )
        place = records.place_of_starts(self.tokenizer.size) if self.format > 1 else None
        if self.word_starts != place:
            raise files.InputError(
                "wrong-json",
                f"found word_starts {self.word_starts} with format {self.format} and "
                f"{self.tokenizer.size} ids; wanted {place}",
            )
        if self.layout == PAIRS:
            splits = (self.splits.train, self.splits.held_out)
            if None in [count for part in splits for count in (part.sentences, part.singles)]:
                raise files.InputError(
                    "wrong-json", "found no sentences or no singles of a split; wanted both"
                )


def shard_header(build: str, name: str, format: int = FORMAT) -> bytes:
    """First record of a shard, which tells it from any other file.

    Args:
        build: digits that stand for the build, as the manifest has them.
        name: of the shard's file.
        format: of the manifest.
    """
    return f"roots-tf examples {format} {build} {name}".encode()


def load(folder: str | Path) -> dict:
    """Reads the manifest of an examples folder; the keys are `Manifest`'s, and more for people.

    Raises:
        InputError: there is none, it is damaged, or another version of the package wrote it.
    """
    path = urls.below(folder, NAME)
    if not (records.is_there(path) if urls.is_url(path) else os.path.lexists(path)):
        google_records.refuse(folder)
        if urls.is_url(folder):
            listings.about(folder, anew=True)  # tells where there is no folder, or no bucket
        raise files.InputError(
            "not-examples",
            f"found no {path}; wanted a folder that build-examples has finished: run it (again)"
            f"{neighbours.instead(folder, NAME)}",
        )
    manifest = files.read_json(path)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found not in FORMATS or isinstance(found, bool):
        raise files.InputError(
            "other-version",
            f"found format {found!r} in {path}; wanted {' or '.join(map(str, FORMATS))}: run "
            "build-examples again",
        )
    schema.check(manifest, Manifest, str(path), others_may_stand=True)
    return manifest


def split_of(manifest: dict, split: str) -> dict:
    """The part of the manifest that describes one split.

    Args:
        manifest: of the examples.
        split: "train" or "held_out".

    Raises:
        InputError: the build has no such split, or it holds no examples.
    """
    if split not in STEMS:
        raise files.InputError(
            "no-such-choice", f"found split {split!r}; wanted one of {sorted(STEMS)}"
        )
    part = manifest["splits"][split]
    if not part["examples"]:
        raise files.InputError(
            "empty-input",
            f"found no examples in split {split!r}; wanted at least one: build-examples with more "
            "documents, or another --held_out",
        )
    return part


def check_tokenizer(manifest: dict, tokenizer) -> None:
    """Refuses a tokenizer other than the one the examples were made with.

    Args:
        manifest: of the examples.
        tokenizer: the one that will be used.

    Raises:
        InputError: the fingerprints differ.
    """
    found, wanted = tokenizer.fingerprint, manifest["tokenizer"]["fingerprint"]
    if found != wanted:
        raise files.InputError(
            "wrong-vocabulary",
            f"found tokenizer {found[:16]} of {tokenizer.size} entries; wanted {wanted[:16]} of "
            f"{manifest['tokenizer']['size']}, which made these examples: use the copy in their "
            f"folder ({TOKENIZER}/), or run build-examples with this tokenizer",
        )


def sources_of(manifest: dict) -> list[dict]:
    """The manifests of the sources of a mixture, in their order; of a plain folder its own."""
    return list(manifest["sources"].values()) if "sources" in manifest else [manifest]


def layout_of(manifest: dict) -> str:
    """How its records are laid out; folders from before there was a choice hold pairs."""
    return manifest.get("layout", PAIRS)


def check_layout(manifest: dict, wanted: tuple[str, ...], reader: str) -> None:
    """Refuses examples of a layout that a reader cannot make rows of.

    Args:
        manifest: of the examples.
        wanted: the layouts that will do, the best one first.
        reader: who reads them, for the message, such as "--sentence_objective=nsp".

    Raises:
        InputError: they have another layout; the message names the command to run.
    """
    found = layout_of(manifest)
    if found not in wanted:
        raise files.InputError(
            "wrong-layout",
            f"found examples of layout {found}; wanted {' or '.join(wanted)} for {reader}: roots "
            f"build-examples --layout={wanted[0]} --max_seq_length={manifest['max_seq_length']} "
            "--input=DOCUMENTS --tokenizer=TOKENIZER --output=ANOTHER_FOLDER",
        )


def check_pairs(manifest: dict, split: str) -> None:
    """Refuses sentence pairs from a corpus that cannot give them.

    Args:
        manifest: of examples of layout "pairs".
        split: the split that would be read.

    Raises:
        InputError: there is one document only, or documents have fewer than two sentences.
    """
    part = split_of(manifest, split)
    remedy = (
        "split the text into documents of several sentences (curate --documents), or train "
        "without sentence pairs: --sentence_objective=none"
    )
    if split == "train" and part["documents"] < 2:
        raise files.InputError(
            "no-sentence-pairs",
            f"found {part['documents']} document for sentence pairs; wanted at least two, since a "
            f"wrong second segment comes from another document: {remedy}",
        )
    if part["sentences"] < 2 * part["documents"] or 2 * part["singles"] > part["examples"]:
        raise files.InputError(
            "no-sentence-pairs",
            f"found {part['sentences']} sentences in {part['documents']} documents, and no second "
            f"segment for {part['singles']} of {part['examples']} examples; wanted two sentences a "
            f"document and a true second segment for half of the examples at least: {remedy}",
        )


def packed_rows(shard: dict, max_seq_length: int) -> int:
    """Rows that the records of a shard fill, packed as [CLS] ids [SEP]; see `packing`.

    >>> packed_rows({"tokens": 100, "examples": 3}, max_seq_length=16)
    7

    Args:
        shard: what the manifest says of it.
        max_seq_length: L.
    """
    return -(-(shard["tokens"] + 2 * shard["examples"]) // max_seq_length)


def causal_rows(shard: dict, length: int) -> int:
    """Rows that the records of a shard fill, packed as <bos> ids, for a causal model.

    The last id of a record is a row's only where a document ends: there it predicts <eos>.

    >>> causal_rows({"tokens": 100, "examples": 8, "ends": 3}, length=16)
    7

    Args:
        shard: what the manifest says of it; without `ends`, as in older builds, every record takes
            the room of one that ends.
        length: L.
    """
    ends = shard.get("ends")
    return -(-(shard["tokens"] + (shard["examples"] if ends is None else ends)) // length)


def check_files(folder: str | Path, part: dict) -> None:
    """Compares every shard's size with the manifest's.

    Args:
        folder: of the examples.
        part: what the manifest says of one split.

    Raises:
        InputError: a shard is missing or has another size.
    """
    if urls.is_url(folder):
        listings.in_folder(folder)  # all sizes at once
    for shard in part["shards"]:
        path = urls.below(folder, shard["name"])
        size = _size_of(path)
        if size != shard["bytes"]:
            records.read(path)  # names a missing file, or the offset of the damage
            raise files.InputError(
                "file-damaged",
                f"found {size} bytes in {path}; wanted {shard['bytes']}: its records are whole, so "
                "it is another build's shard or has extra ones; copy it again, or run "
                "build-examples again",
            )


def _size_of(path: str | Path) -> int | None:
    """Bytes of a file; None where it is not there."""
    try:
        return ranges.size(path)
    except FileNotFoundError:
        return None
    except files.InputError as error:
        if error.id != "no-such-file":
            raise
        return None
