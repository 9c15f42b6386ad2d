"""The plan of a build: settings, tasks, shards, and which documents are held out. No TensorFlow."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roots_tf.examples import manifest, records, word_starts
from roots_tf.storage import files, parquet, ranges, urls

TASK_BYTES = 8 << 20  # text of one encode task
# A reader holds a few whole shards, in several forms: with 15 MB shards it takes 0.95 GB packed.
SHARD_BYTES = 8 << 20  # what an automatic number of shards aims at; they vary around it
MOST_SHARD_BYTES = 20 << 20  # as estimated, which is a third too much
BYTES_PER_TEXT_BYTE = 0.6  # of a record file, about, with 16-bit words and 64 tokens a record


@dataclasses.dataclass(frozen=True)
class BuildSettings:
    """All that decides the bytes of a record, besides the documents and the tokenizer.

    Attributes:
        max_seq_length: tokens of a row of a pair, [CLS] and two [SEP] among them; of a contiguous
            record at most.
        short_seq_prob: share of pairs that aim at a random shorter length.
        held_out: share of the documents held out, by hash.
        num_shards: shards of the training split; 0 chooses.
        seed: of every random choice.
        language: ISO 639-1 code of documents that do not say theirs; by its rules sentences are
            split, and words where they are written without spaces.
        max_documents: documents read of each task; 0 reads all.
        layout: "pairs", "contiguous" or "translation".
        word_segmentation: what finds the words of texts without spaces: "auto", the language of
            each, "none", or the code of one language.
    """

    max_seq_length: int = 128
    short_seq_prob: float = 0.1
    held_out: float = 0.01
    num_shards: int = 0
    seed: int = 0
    language: str = "en"
    max_documents: int = 0
    layout: str = manifest.PAIRS
    word_segmentation: str = "auto"

    def __post_init__(self):
        """Refuses values that no build can have.

        Raises:
            InputError: a value is out of its range.
        """
        if self.layout not in manifest.LAYOUTS:
            raise files.InputError(
                "no-such-choice", f"found layout {self.layout!r}; wanted one of {manifest.LAYOUTS}"
            )
        if self.max_seq_length < 8:
            raise files.InputError(
                "number-out-of-range",
                f"found max_seq_length {self.max_seq_length}; wanted 8 or more tokens",
            )
        if not 0 <= self.short_seq_prob <= 1 or not 0 <= self.held_out < 1:
            raise files.InputError(
                "number-out-of-range",
                f"found short_seq_prob {self.short_seq_prob} and held_out {self.held_out}; wanted "
                "shares from 0 to 1 (held_out below 1)",
            )

    def deciding(self) -> dict:
        """The settings that decide the bytes of this layout, as JSON values; others may differ.

        Pairs do not name their layout: folders of before there was a choice are the same build.
        """
        unused = {"layout"} if self.layout == manifest.PAIRS else {"short_seq_prob"}
        if self.layout != manifest.PAIRS and (
            self.language not in word_starts.LANGUAGES or self.word_segmentation != "auto"
        ):
            unused.add("language")  # which only sentences depend on
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in unused}


@dataclasses.dataclass(frozen=True)
class BuildPlan:
    """What the stages are to do.

    Attributes:
        build: fingerprint of what decides the shards' bytes, but for the segmenters of words: see
            `build_of`.
        tasks: (path, first row group, row group after the last, size and time of the file).
        threshold: documents whose held-out hash is below it are held out.
        shards: number of shards of each split.
        text_bytes: bytes of text in the input.
    """

    build: str
    tasks: list[tuple]
    threshold: int
    shards: dict[str, int]
    text_bytes: int


def plan(
    paths: list[str], settings: BuildSettings, tokenizer_fingerprint: str, size: int
) -> BuildPlan:
    """Cuts the input into tasks and chooses the numbers of shards.

    Args:
        paths: Parquet files of documents, columns `id` and `text`.
        settings: what the user chose.
        tokenizer_fingerprint: of the tokenizer that will be used.
        size: entries of its vocabulary.

    Raises:
        InputError: a file is no Parquet file of documents, or there are no documents.
    """
    tasks, shape, text_bytes, documents = [], [], 0, 0
    footers = ranges.mapped(lambda path: open_documents(path).metadata, paths)
    for path, metadata in zip(paths, footers, strict=True):
        column = metadata.schema.to_arrow_schema().names.index("text")
        state = ranges.state(path)
        sizes = [
            metadata.row_group(group).column(column).total_uncompressed_size
            for group in range(metadata.num_row_groups)
        ]
        first, pending = 0, 0
        for group, group_bytes in enumerate(sizes):
            pending += group_bytes
            if pending >= TASK_BYTES or group == len(sizes) - 1:
                tasks.append((path, first, group + 1, state))
                first, pending = group + 1, 0
        text_bytes += sum(sizes)
        documents += metadata.num_rows
        shape.append([urls.name_of(path), state[0], metadata.num_rows])
    if not documents:
        raise files.InputError(
            "empty-input", f"found no documents in {paths}; wanted at least one: run curate"
        )
    word_factor = np.dtype(records.word_dtype(size)).itemsize / 2
    total = text_bytes * BYTES_PER_TEXT_BYTE * word_factor
    train = settings.num_shards or max(1, math.ceil(total / SHARD_BYTES))
    if total / train > MOST_SHARD_BYTES:
        raise files.InputError(
            "number-out-of-range",
            f"found num_shards {train} for {text_bytes / 1e6:.0f} MB of text; wanted at least "
            f"{math.ceil(total / MOST_SHARD_BYTES)}, since readers load whole shards: give more, "
            "or 0 to let the program choose",
        )
    shards = {"train": train, "held_out": max(1, math.ceil(train * settings.held_out))}
    about = [manifest.FORMAT, settings.deciding(), tokenizer_fingerprint, shape, shards]
    build = files.fingerprint(about)
    threshold = _held_out_threshold(paths, settings, documents)
    return BuildPlan(build, tasks, threshold, shards, text_bytes)


def build_of(build: str, segmenters: dict[str, str]) -> str:
    """Digits that stand for the build, given what cuts the words of the languages found in it.

    Args:
        build: of the plan.
        segmenters: from `word_starts.segmenters`; none where words stand between spaces.
    """
    return files.fingerprint([build, segmenters])


def open_documents(path: str) -> pq.ParquetFile:
    """Opens a Parquet file of documents.

    Raises:
        InputError: it is no Parquet file, or has no columns `id` and `text`.
    """
    try:
        file = parquet.file_of(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise files.InputError(
            "wrong-folder",
            f"found no Parquet in {path} ({str(error).splitlines()[0]}); wanted the documents that "
            "curate writes: run curate on this input first",
        ) from error
    if missing := {"id", "text"} - set(file.schema_arrow.names):
        raise files.InputError(
            "wrong-folder",
            f"found the columns {', '.join(file.schema_arrow.names)} in {path}; wanted "
            f"{' and '.join(sorted(missing))} too: run curate on this input first",
        )
    return file


def _held_out_threshold(paths: list[str], settings: BuildSettings, documents: int) -> int:
    """The share as a 64-bit threshold, raised where so few documents might leave none below it."""
    if not settings.held_out or documents < 2:
        return 0
    threshold = int(settings.held_out * 2**64)
    # Two documents at least where that leaves two to train on: a pair needs another document.
    least = 2 if documents >= 4 else 1
    if documents * settings.held_out > 50:  # fewer than two of them has odds of 1e-20
        return threshold
    ids = {
        doc
        for path in paths
        for batch in open_documents(path).iter_batches(columns=["id"])
        for doc in batch.column(0).to_pylist()
    }
    hashes = sorted(held_out_hash(settings.seed, doc) for doc in ids)
    if len(hashes) < 2:
        return 0
    return min(max(threshold, hashes[least - 1] + 1), hashes[-1])


def held_out_hash(seed: int, doc_id: str) -> int:
    """64-bit hash of `seed` and `doc_id` that decides whether a document is held out."""
    return records.digest("held_out", seed, doc_id)
