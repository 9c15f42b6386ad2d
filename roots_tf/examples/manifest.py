"""The manifest of an examples folder: what the build wrote, and what a reader must know first.

manifest.json            counts, sizes and checksums, the config, the tokenizer's fingerprint
unigram_counts.npy       how often each id occurs in the training split, int64 [V]
tokenizer/               the tokenizer's own files
examples-00000-of-000NN.tfrecord     the training split
held_out-00000-of-000NN.tfrecord     documents that are never trained on
"""

import os
from pathlib import Path

from roots_tf import files
from roots_tf.examples import google_records, records

NAME = "manifest.json"
FORMAT = 1
UNIGRAM_COUNTS = "unigram_counts.npy"
TOKENIZER = "tokenizer"
STEMS = {"train": "examples", "held_out": "held_out"}
SUFFIX = ".tfrecord"
LAYOUTS = PAIRS, CONTIGUOUS = "pairs", "contiguous"


def shard_header(build: str, name: str) -> bytes:
    """First record of a shard: tells the shard `name` of this `build` from any other file."""
    return f"roots-tf examples {FORMAT} {build} {name}".encode()


def load(folder: str | Path) -> dict:
    """Reads the manifest of an examples folder.

    Raises:
        InputError: there is none, or another version of the package wrote it.
    """
    path = Path(folder, NAME)
    if not path.exists():
        google_records.refuse(folder)
        raise files.InputError(
            f"found no {path}; wanted a folder that build-examples has finished: run it (again)"
        )
    manifest = files.read_json(path)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise files.InputError(
            f"found format {found} in {path}; wanted {FORMAT}: run build-examples again"
        )
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
        raise files.InputError(f"found split {split!r}; wanted one of {sorted(STEMS)}")
    part = manifest["splits"][split]
    if not part["examples"]:
        raise files.InputError(
            f"found no examples in split {split!r}; wanted at least one: build-examples with more "
            "documents, or another --held_out"
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
            f"found tokenizer {found[:16]} of {tokenizer.size} entries; wanted {wanted[:16]} of "
            f"{manifest['tokenizer']['size']}, which made these examples: use the copy in their "
            f"folder ({TOKENIZER}/), or run build-examples with this tokenizer"
        )


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
            f"found examples of layout {found}; wanted {' or '.join(wanted)} for {reader}: roots "
            f"build-examples --layout={wanted[0]} --max_seq_length={manifest['max_seq_length']} "
            "--input=DOCUMENTS --tokenizer=TOKENIZER --output=ANOTHER_FOLDER"
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
            f"found {part['documents']} document for sentence pairs; wanted at least two, since a "
            f"wrong second segment comes from another document: {remedy}"
        )
    if part["sentences"] < 2 * part["documents"] or 2 * part["singles"] > part["examples"]:
        raise files.InputError(
            f"found {part['sentences']} sentences in {part['documents']} documents, and no second "
            f"segment for {part['singles']} of {part['examples']} examples; wanted two sentences a "
            f"document and a true second segment for half of the examples at least: {remedy}"
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


def check_files(folder: str | Path, part: dict) -> None:
    """Compares every shard's size with the manifest's.

    Args:
        folder: of the examples.
        part: what the manifest says of one split.

    Raises:
        InputError: a shard is missing or has another size.
    """
    for shard in part["shards"]:
        path = Path(folder, shard["name"])
        try:
            size = os.path.getsize(path)
        except FileNotFoundError:
            size = None
        if size != shard["bytes"]:
            records.read(path)  # names a missing file, or the offset of the damage
            raise files.InputError(
                f"found {size} bytes in {path}; wanted {shard['bytes']}: its records are whole, so "
                "it is another build's shard or has extra ones; copy it again, or run "
                "build-examples again"
            )
