"""Records to batches: a `tf.data.Dataset` whose batch is a pure function of (manifest, seed, step).

    slots      0, 1, 2, ... : epoch = slot // shards, and a shard by that epoch's permutation
    rows       the whole shard in memory, its records in a permutation of (epoch, shard)
    batches    rows one after the other, over the borders of shards and epochs
    features   from stateless seeds of (seed, step): see `row_maker`

The permutations are an argsort of stateless random keys (Philox). `index_shuffle` would need no
sort, but its four rounds are visibly not uniform: over 3,000 seeds the 24 orders of four things
came 36 to 186 times each. Where step N begins follows from the shards' counts in the manifest, so
any step starts at once and nothing has to be saved.

Of a mixture every source is such a stream of its own; `mixture` says which one gives the next row.
"""

import contextlib
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf import features, tokenizers
from roots_tf.examples import manifest as manifests
from roots_tf.examples import mixture, stored
from roots_tf.examples.records import FRAME_BYTES
from roots_tf.examples.row_maker import Chance, RowMaker, stateless_seed
from roots_tf.storage import files, urls

ENDLESS = 1 << 40  # epochs
SHARD_ORDER, ROW_ORDER = "shard order", "row order"  # uses of chance


def pipeline(
    folder: str | Path | mixture.Mixture,
    make_rows: Callable[..., RowMaker],
    *,
    split: str = "train",
    batch_size: int,
    seed: int,
    start_step: int = 0,
    max_seq_length: int | None = None,
    num_workers: int = 1,
    worker_index: int = 0,
    num_epochs: int | None = None,
) -> tf.data.Dataset:
    """Batches of an examples folder or of a mixture of several, from any step on.

    Args:
        folder: what build-examples wrote, or its URL; or a mixture, which has no end.
        make_rows: `make_rows` of an objective: from manifest, split, tokenizer and L to its rows.
        split: "train" or "held_out".
        batch_size: rows of the global batch, B.
        seed: of the order, and of all that `make_rows` draws.
        start_step: number of the first batch.
        max_seq_length: L; None takes that of the build.
        num_workers: how many readers share every global batch.
        worker_index: which of its equal slices this one gives.
        num_epochs: epochs before the end; None goes on for ever.

    Returns:
        Dicts of features (see `roots_tf.features`) with static shapes [B / num_workers, ...]: those
        of the rows, and `example_weights`. With `num_epochs` the last batch is filled with rows of
        weight 0; without it there is no last one.

    Raises:
        InputError: an argument does not fit the folder; a shard is missing or has another size.
            Damage inside a shard is found while it is read: `tf.errors.InvalidArgumentError`
            then names the file and the offset.
        ValueError: the features are not those of the table.
    """
    if batch_size < 1 or batch_size % num_workers or not 0 <= worker_index < num_workers:
        raise files.InputError(
            "wrong-batch",
            f"found batch_size {batch_size}, num_workers {num_workers} and worker_index "
            f"{worker_index}; wanted equal slices and an index below their number",
        )
    slice_size, first_row = batch_size // num_workers, batch_size * start_step
    worker_slice = slice(worker_index * slice_size, (worker_index + 1) * slice_size)
    if isinstance(folder, mixture.Mixture):
        length = max_seq_length or folder.manifest["max_seq_length"]
        opened = [_open(path, make_rows, split, length) for path in folder.folders.values()]
        maker = make_rows(folder.manifest, split, opened[0].tokenizer, length)
        rows = _mixed_rows(opened, folder.row_shares, seed, first_row)
        rows = rows.batch(batch_size, drop_remainder=True)
    else:
        opened = _open(folder, make_rows, split, max_seq_length)
        maker, length = opened.maker, opened.length
        rows = _rows(opened, seed, first_row, num_epochs)
        rows = rows.prefetch(1).rebatch(batch_size, drop_remainder=num_epochs is None)
        rows = rows.map(lambda rows: (rows, tf.zeros([batch_size], tf.int32)))

    @tf.autograph.experimental.do_not_convert
    def features_of(step, given):
        rows, sources = given
        count = tf.shape(tf.nest.flatten(rows)[0])[0]
        source = tf.range(batch_size) % count  # rows that fill the batch repeat others
        rows = tf.nest.map_structure(lambda x: tf.gather(x, source), rows)
        weights = tf.cast(tf.range(batch_size) < count, tf.float32)[worker_slice]
        chance = Chance(seed, step, batch_size, worker_slice, weights, sources)
        return maker.features(rows, chance) | {"example_weights": weights}

    # The thread that would tune the parallelism costs a tenth of the batches on one core, and an
    # iterator's end may wait for its next turn, up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = (
        rows.enumerate(start=start_step)
        .map(features_of, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
        .with_options(options)
    )
    features.check(dataset.element_spec, {"B": slice_size, "L": length}, maker.new_features)
    return dataset


class _Told(NamedTuple):
    """What TensorFlow keeps of an `InputError` of a shard's store: see `_slots_here`."""

    message: str
    id: str


_TOLD = re.compile(r"InputError: (.*) \[([a-z-]+)\]$", re.MULTILINE)


@contextlib.contextmanager
def damage_named():
    """Around a loop over batches: what the graph says of a shard becomes a user's error.

    Raises:
        InputError: a shard is damaged, foreign, or vanished while it was read; or its store does
            not give it.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
        if found := _TOLD.search(error.message):
            told = _Told(*found.groups())
            raise files.InputError(told.id, told.message) from error
        about_shards = [line for line in error.message.splitlines() if manifests.SUFFIX in line]
        if not about_shards:
            raise
        _, _, message = about_shards[0].rpartition("assertion failed: ")
        raise files.InputError("file-damaged", message.replace("[", "").replace("]", "")) from error


def permutation(count, seed) -> tf.Tensor:
    """The numbers below `count` in an order that the seed decides, int64 [count].

    Args:
        count: how many.
        seed: int64 [2].
    """
    keys = tf.random.stateless_uniform([count], seed, None, None, tf.int64, alg="philox")
    return tf.cast(tf.argsort(keys), tf.int64)


def start_of(first_row: int, counts: list[int], seed: int) -> tuple[int, int]:
    """Where a row lies in the stream of shards.

    Args:
        first_row: number of the row, counted over all epochs.
        counts: rows of each shard.
        seed: of the order.

    Returns:
        The slot (place in the endless sequence of shards), and the rows to skip in its shard.
    """
    epoch, row = divmod(first_row, sum(counts))
    order = _shard_order(len(counts), seed, epoch).numpy()
    ends = np.cumsum(np.array(counts)[order])
    place = int(np.searchsorted(ends, row, side="right"))
    return epoch * len(counts) + place, row - int(ends[place] - counts[order[place]])


def _shard_order(count: int, seed: int, epoch) -> tf.Tensor:
    return permutation(count, stateless_seed(seed, SHARD_ORDER, epoch))


class _Opened(NamedTuple):
    """One split of a folder, found whole, and how an objective makes rows of it."""

    folder: str | Path
    manifest: dict
    part: dict
    tokenizer: tokenizers.Tokenizer
    maker: RowMaker
    length: int


def _open(folder, make_rows, split: str, max_seq_length: int | None) -> _Opened:
    manifest = manifests.load(folder)
    part = manifests.split_of(manifest, split)
    manifests.check_files(folder, part)
    length = max_seq_length or manifest["max_seq_length"]
    tokenizer = stored.tokenizer_of(folder)
    manifests.check_tokenizer(manifest, tokenizer)
    maker = make_rows(manifest, split, tokenizer, length)
    return _Opened(folder, manifest, part, tokenizer, maker, length)


def _mixed_rows(
    opened: list[_Opened], row_shares: dict[str, float], seed: int, first_row: int
) -> tf.data.Dataset:
    """Single rows of a mixture, each with the place of its source, from the `first_row` on."""
    choice = mixture.Choice.of(list(row_shares.values()), seed)
    streams = []
    for place, (name, source) in enumerate(zip(row_shares, opened, strict=True)):
        own_seed = mixture.seed_of(seed, name)
        rows = _rows(source, own_seed, choice.count(place, first_row), None).prefetch(1)
        streams.append(rows.unbatch().map(functools.partial(_with_place, place=place)))
    choices = tf.data.Dataset.range(first_row, ENDLESS).map(
        tf.autograph.experimental.do_not_convert(lambda row: _place_of(row, choice))
    )
    return tf.data.Dataset.choose_from_datasets(streams, choices)


@tf.autograph.experimental.do_not_convert
def _with_place(*row, place: int):
    return row[0] if len(row) == 1 else row, tf.constant(place)


def _place_of(row, choice: mixture.Choice):
    """What `choice.place` says of a `row`, int64 []: the graph's form of the same numbers."""
    value = (row % choice.modulus * choice.stride + choice.offset) % choice.modulus
    ends = tf.constant(choice.ends[:-1], tf.int64)
    return tf.reduce_sum(tf.cast(value >= ends, tf.int64))


def _rows(opened: _Opened, seed: int, first_row: int, num_epochs: int | None) -> tf.data.Dataset:
    """Rows of one shard after the other, from the `first_row` of all epochs on."""
    folder, manifest, part, maker = opened.folder, opened.manifest, opened.part, opened.maker
    shards = [shard for shard in part["shards"] if shard["examples"]]
    paths = tf.constant([str(urls.below(folder, shard["name"])) for shard in shards])
    build = manifest["build"], manifest["format"]
    headers = tf.constant([manifests.shard_header(build[0], s["name"], build[1]) for s in shards])
    examples = tf.constant([shard["examples"] for shard in shards], tf.int64)
    counts = [maker.count(shard) for shard in shards]
    first_slot, skipped = start_of(first_row, counts, seed)
    wanted_rows = tf.constant(counts, tf.int64)

    # Nothing here is Python control flow; converting it would double the time to the first batch.
    @tf.autograph.experimental.do_not_convert
    def shard_rows(slot, place_here):
        epoch = slot // len(shards)
        shard = tf.gather(_shard_order(len(shards), seed, epoch), slot % len(shards))
        place = epoch * len(shards) + shard  # a number for each shard of each epoch
        count = examples[shard]
        skip = tf.where(slot == first_slot, tf.constant(skipped, tf.int64), 0)

        @tf.autograph.experimental.do_not_convert
        def permuted(content):
            content = _checked(content, paths[shard], headers[shard], count)
            order = permutation(count, stateless_seed(seed, ROW_ORDER, place))
            rows = maker.rows(tf.gather(content, order))
            made = tf.shape(tf.nest.flatten(rows)[0], tf.int64)[0]
            counted = tf.raw_ops.Assert(
                condition=made == wanted_rows[shard],
                data=["`rows` gave", made, "rows of a shard, for which `count` gave"]
                + [wanted_rows[shard], "; wanted the same, or no step could be found again"],
            )
            with tf.control_dependencies([counted]):
                return tf.nest.map_structure(lambda x: x[skip:], rows)

        # A damaged record ends the file early instead of the run; `_checked` then says where. The
        # empty string at the end keeps a file of nothing from passing as a file of no rows. A file
        # that is not there must fail before: it would be tried, and the error ignored, for ever.
        # The path is made to depend on the content, or the read would be optimised away.
        path = tf.where(place_here == "", paths[shard], place_here)
        nothing = tf.strings.substr(tf.io.read_file(path), 0, 0)
        path = tf.strings.join([path, nothing])
        return (
            tf.data.TFRecordDataset(path)
            .ignore_errors()
            .concatenate(tf.data.Dataset.from_tensors(b""))
            .batch(count + 3)  # one more than there should be shows that there are more
            .map(permuted)
        )

    stop = (num_epochs or ENDLESS) * len(shards)
    if urls.is_url(folder):
        return _slots_here(folder, shards, seed, first_slot, stop).flat_map(shard_rows)
    return tf.data.Dataset.range(first_slot, stop).map(lambda slot: (slot, "")).flat_map(shard_rows)


def _slots_here(folder: str, shards: list[dict], seed: int, first: int, stop: int):
    """Slots, int64 [], and the local path of the shard of each, brought from a store, string []."""

    def order():
        at, shard_order = -1, None
        for slot in range(first, stop):
            epoch = slot // len(shards)
            if epoch != at:
                at, shard_order = epoch, _shard_order(len(shards), seed, epoch).numpy()
            yield shards[shard_order[slot % len(shards)]]

    def slots():
        try:
            yield from enumerate(stored.brought(folder, order()), first)
        except files.InputError as error:  # of which TensorFlow keeps the text alone
            raise files.InputError(error.id, f"{error} [{error.id}]") from error

    signature = tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string)
    return tf.data.Dataset.from_generator(slots, output_signature=signature)


def _checked(content, path, header, count):
    """The records of a shard, without its header and the mark at its end.

    Args:
        content: all that was read of it, string [n].
        path, header: what the shard is called and begins with.
        count: records wanted, without the header.
    """
    content = content[:-1]
    offset = tf.reduce_sum(tf.cast(tf.strings.length(content), tf.int64) + FRAME_BYTES)
    found = tf.size(content, tf.int64)
    few = tf.raw_ops.Assert(
        condition=found <= count + 1,
        data=["found more records in", path, "than the manifest beside it says; wanted records:"]
        + [count, "; copy both again, or run build-examples again"],
    )
    with tf.control_dependencies([few]):
        whole = tf.raw_ops.Assert(
            condition=found == count + 1,
            data=["found a missing or damaged record in", path, "at byte offset", offset]
            + ["; wanted records:", count, "; copy the file again, or run build-examples again"],
        )
    with tf.control_dependencies([whole]):
        is_text = tf.strings.regex_full_match(content[0], "[ -~]*")
        first = tf.where(is_text, content[0], "other bytes")  # none that a terminal could obey
        own = tf.raw_ops.Assert(
            condition=content[0] == header,
            data=["found another build's shard in", path, "at byte offset 0:", first]
            + ["; wanted:", header, "; copy the file again, or run build-examples again"],
        )
    with tf.control_dependencies([own]):
        return content[1:]
