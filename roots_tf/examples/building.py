"""Documents to example shards, in two stages of pure tasks over files. No TensorFlow.

    encode  a range of row groups -> one partial file: its records, by the shard they belong to
    gather  all partial files     -> one TFRecord shard, in the order of the tasks

All chance comes from hashes of (seed, document id): neither the order of the documents nor the
number of workers changes a byte. A shard is a random sample of its split, since every record is
sent to a shard of its own.
"""

import functools
import gc
import random
from pathlib import Path

import numpy as np
import pyarrow as pa

from roots_tf import tokenizers
from roots_tf.examples import manifest, planning, records, word_lengths, word_starts
from roots_tf.examples.layouts import LAYOUTS
from roots_tf.storage import files

BATCH_BYTES = 1 << 20  # text tokenised at once
HISTOGRAM_BINS = 16
BY_LANGUAGE = ("languages", "undeclared", "cut")


@functools.lru_cache(maxsize=1)
def _tokenizer(folder: str):
    """The tokenizer, loaded once in each worker process."""
    return tokenizers.load(folder)


def partial_path(partials: str, index: int) -> Path:
    """Where the encode task of that `index` leaves its records, in the folder `partials`."""
    return Path(partials, f"partial-{index:05d}.arrow")


def counts_path(partials: str, shard: int) -> Path:
    """Where the gather task of a `shard` leaves how often each id occurs in it, in `partials`."""
    return Path(partials, f"counts-{shard:05d}.npy")


def encode_task(
    index: int, task: tuple, partials: str, tokenizer_folder: str, fixed: dict
) -> dict[str, int]:
    """Encodes the documents of some row groups and leaves their records in a partial file.

    The file is in Arrow's IPC format: a record batch for every shard, those of the training split
    first; its one column holds the records.

    Args:
        index: place of the task among all tasks.
        task: (path, first row group, row group after the last, stamp), from the plan.
        partials: folder of the partial files.
        tokenizer_folder: where the tokenizer lies.
        fixed: `settings` as a dict, `threshold` and `shards` of the plan.

    Returns:
        Counts of documents, examples and bytes, by split, of what was dropped, and of what the
        layout counts; and by language, of all documents, of those that did not say theirs
        ("undeclared"), and of those whose words were cut ("cut", "" where each text told).
    """
    settings = planning.BuildSettings(**fixed["settings"])
    tokenizer, layout = _tokenizer(tokenizer_folder), LAYOUTS[settings.layout]
    of_split = ("documents", "examples", *layout.of_split)
    counts = {name: {} for name in BY_LANGUAGE} | dict.fromkeys(
        [f"{split}_{what}" for split in manifest.STEMS for what in of_split]
        + ["documents", "text_bytes", "dropped_empty", *layout.of_corpus],
        0,
    )
    gc.disable()  # nothing here makes cycles, and looking for them takes an eighth of the time
    try:
        encoded = [
            _encode_documents(batch, tokenizer, settings, fixed, counts)
            for batch in _document_batches(task, settings.max_documents)
        ]
    finally:
        gc.enable()
    words = np.concatenate([w for w, _, _ in encoded]) if encoded else np.empty(0, np.uint8)
    lengths = np.concatenate([n for _, n, _ in encoded]) if encoded else np.empty(0, np.int64)
    shards = np.concatenate([s for _, _, s in encoded]) if encoded else np.empty(0, np.int64)
    with files.atomic_path(partial_path(partials, index)) as temporary:
        _write_partial(temporary, words, lengths, shards, sum(fixed["shards"].values()))
    return counts


def _document_batches(task: tuple, max_documents: int):
    """Lists of (id, text, language or ""), each of about BATCH_BYTES of text."""
    path, first, stop, _ = task
    batch, size, seen = [], 0, 0
    documents = planning.open_documents(path)
    columns = [c for c in ("id", "text", "language") if c in documents.schema_arrow.names]
    for rows in documents.iter_batches(
        batch_size=64, row_groups=list(range(first, stop)), columns=columns
    ):
        values = [rows.column(name).to_pylist() for name in columns]
        for doc_id, text, *own in zip(*values, strict=True):
            if max_documents and seen == max_documents:
                break
            seen += 1
            batch.append((doc_id, text, str(own[0] or "") if own else ""))
            size += len(text)
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _encode_documents(batch, tokenizer, settings, fixed, counts):
    """Records of some documents: words, words of each record, shard of each record."""
    layout = LAYOUTS[settings.layout]
    pieces, languages, first_piece = [], [], [0]
    default = settings.deciding().get("language", "")
    for _, text, own in batch:
        found, cut_as = _pieces(text, own, default, settings, counts)
        pieces.extend(found)
        languages.extend(cut_as)
        first_piece.append(len(pieces))
    ids, row_splits, starts = word_starts.encode(tokenizer, pieces, languages)
    num_train, num_held_out = fixed["shards"]["train"], fixed["shards"]["held_out"]
    spans, hashes, shards = [], [], []
    for (doc_id, _, _), first, last in zip(batch, first_piece[:-1], first_piece[1:], strict=True):
        ends = np.unique(row_splits[first : last + 1])  # a piece of no tokens is none
        if len(ends) < 2:
            counts["dropped_empty"] += 1
            continue
        held_out = planning.held_out_hash(settings.seed, doc_id) < fixed["threshold"]
        rng = random.Random(records.digest("segments", settings.seed, doc_id))
        cut = layout.cut(ends, settings, rng)
        split = "held_out" if held_out else "train"
        for what, number in {"documents": 1, "examples": len(cut.spans), **cut.of_split}.items():
            counts[f"{split}_{what}"] += number
        for what, number in cut.of_corpus.items():
            counts[what] += number
        spans.extend(cut.spans)
        hashes.extend([records.digest("document", doc_id) % 2**32] * len(cut.spans))
        first_shard, num_shards = (num_train, num_held_out) if held_out else (0, num_train)
        shards.extend(first_shard + int(rng.random() * num_shards) for _ in cut.spans)
    dtype = records.word_dtype(tokenizer.size)
    encode = functools.partial(
        layout.encode,
        spans=np.array(spans, np.int64).reshape(-1, layout.columns),
        hashes=np.array(hashes, np.uint32),
        dtype=dtype,
    )
    header = records.header_words(dtype, settings.layout)
    words, lengths = records.with_starts(encode, ids, starts, tokenizer.size, header)
    return words, lengths, np.array(shards, np.int64)


def _pieces(
    text: str, own: str, default: str, settings, counts
) -> tuple[list[str], list[str | None]]:
    """What of a document is tokenised apart, and by which language words of it are cut."""
    data = text.encode("utf-8", "surrogatepass")
    counts["documents"] += 1
    counts["text_bytes"] += len(data)
    language = word_starts.language(text, data, own, default, settings.word_segmentation)
    undeclared = None if language.declared else language.code
    for name, code in zip(BY_LANGUAGE, (language.code, undeclared, language.cut_as), strict=True):
        if code is not None:
            counts[name][code] = counts[name].get(code, 0) + 1
    pieces = LAYOUTS[settings.layout].pieces(text, language.code)
    return pieces, word_starts.cut_as(pieces, language.cut_as)


def _write_partial(path, words, lengths, shards, num_shards: int) -> None:
    """Writes records in the order of their shards, one record batch for each shard."""
    schema = pa.schema({"record": pa.large_binary()})
    begins = np.cumsum(lengths) - lengths
    order = np.argsort(shards, kind="stable")
    bounds = np.searchsorted(shards[order], np.arange(num_shards + 1))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for shard in range(num_shards):
            rows = order[bounds[shard] : bounds[shard + 1]]
            sizes = lengths[rows]
            shift = np.repeat(begins[rows] - (np.cumsum(sizes) - sizes), sizes)
            data = words[np.arange(len(shift)) + shift]
            offsets = np.concatenate([[0], np.cumsum(sizes)]) * words.dtype.itemsize
            column = pa.LargeBinaryArray.from_buffers(
                pa.large_binary(),
                len(rows),
                [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(data)],
            )
            writer.write_batch(pa.record_batch([column], schema=schema))


def gather_task(shard: int, name: str, num_tasks: int, partials: str, output: str, fixed: dict):
    """Collects the records of one shard from every partial file and writes the TFRecord.

    Args:
        shard: index of the shard among those of both splits.
        name: file name of the shard.
        num_tasks: number of partial files.
        partials: folder of the partial files.
        output: folder of the shard.
        fixed: `build` digits, `tokenizer` (its folder), `layout` and `max_seq_length`.

    Returns:
        What the manifest says of the shard: name, bytes, sha256, examples, tokens, what the layout
        counts, unknown tokens, a histogram of lengths, and "words": see `word_lengths.measure`.
    """
    tokenizer, layout = _tokenizer(fixed["tokenizer"]), LAYOUTS[fixed["layout"]]
    dtype = records.word_dtype(tokenizer.size)
    header = records.header_words(dtype, fixed["layout"])
    lead = manifest.shard_header(fixed["build"], name)
    datas, lengths = [lead], [np.array([len(lead)])]
    for index in range(num_tasks):
        with pa.memory_map(str(partial_path(partials, index))) as source:
            column = pa.ipc.open_file(source).get_batch(shard).column(0)
            if len(column):
                _, offsets, data = column.buffers()
                datas.append(data.to_pybytes())
                lengths.append(np.diff(np.frombuffer(offsets, np.int64, len(column) + 1)))
    data, lengths = b"".join(datas), np.concatenate(lengths)
    path = Path(output, name)
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(records.frame(data, lengths))
    words = np.frombuffer(data[len(lead) :], dtype)
    sizes = lengths[1:] // words.itemsize
    place = records.place_of_starts(tokenizer.size)
    ids, num_ids, starts = records.split(words, sizes, header, place)
    counts = np.bincount(ids, minlength=tokenizer.size).astype(np.int64)
    with (
        files.atomic_path(counts_path(partials, shard)) as temporary,
        temporary.open("wb") as file,
    ):
        np.save(file, counts)
    numbers = words[np.cumsum(sizes) - sizes + header - 1]
    tokens, counted = layout.measure(numbers, num_ids)
    seconds = numbers if layout.columns == 4 else num_ids
    bins = (tokens - 1) * HISTOGRAM_BINS // fixed["max_seq_length"]
    bins = np.minimum(bins, HISTOGRAM_BINS - 1)
    return {
        "name": name,
        "bytes": path.stat().st_size,
        "sha256": files.sha256(path),
        "examples": len(num_ids),
        "tokens": len(ids),
        **counted,
        "unknown": 0 if tokenizer.unk_id is None else int(counts[tokenizer.unk_id]),
        "histogram": np.bincount(bins, minlength=HISTOGRAM_BINS).tolist(),
        "words": word_lengths.measure(tokenizer, ids, num_ids, starts, seconds.astype(np.int64)),
    }


def unigram_entropy(train: np.ndarray, held_out: np.ndarray) -> float | None:
    """Mean -log probability, in nats, of held-out ids under the training split's frequencies.

    One is added to every count, so that an id never trained on has a finite cost. A model that
    ignores context cannot do better than about this.

    Args:
        train, held_out: how often each id occurs in each split, [V].

    Returns:
        None where nothing is held out.
    """
    if not held_out.sum():
        return None
    log_probs = np.log((train + 1) / (train + 1).sum())
    return float(-(held_out * log_probs).sum() / held_out.sum())
