"""Documents to example shards: sentence pairs or contiguous text as token ids, stored once.

    roots build-examples --input=runs/documents --tokenizer=runs/tokenizer --output=runs/examples

Reads the Parquet documents that `curate` writes. With `--layout=pairs` a record holds BERT's two
segments of sentences; with `--layout=contiguous` the next `--max_seq_length` tokens of a document
and their place in it, without splitting sentences, so that no token is lost. `pretrain` with
`--sentence_objective=nsp` or `sop` reads pairs, with `none` either. With `--layout=translation` a
record holds a sentence and its translation, for `--sentence_objective=translation`:

    roots build-examples --layout=translation --input=train.en,train.de \
        --tokenizer=runs/tokenizer --output=runs/translations

Memory is a few hundred megabytes a worker whatever the size of the corpus; the disk holds about
0.6 bytes a byte of text, and as much again while it runs. Two cores do several megabytes of text a
second. Prints a summary and writes manifest.json, the shards, the tokenizer and the unigram counts
into the output folder. The same command continues a build that was killed; a finished one is left
as it is. With `--scheduler=tcp://...` the tasks run on the workers of a Dask cluster that see the
same files, and write the same bytes (see `stages.executor`).
"""

import dataclasses
import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from absl import logging

from roots_tf import program, stages, tokenizers
from roots_tf.examples import building, manifest, planning, summary, word_starts
from roots_tf.labelled import parallel
from roots_tf.storage import claims, files
from roots_tf.tokenizers import marks

SCRATCH = ".build"  # folder of what is only needed until the shards are whole


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of build-examples."""

    input: tuple[str, ...] = program.flag(
        help="folders or globs of Parquet documents; for --layout=translation two text files, line "
        "by line, or JSON lines or Parquet with source and target; or URLs of these",
        role="input",
        streams=True,
    )
    tokenizer: str = program.flag(
        help="tokenizer folder, tokenizer.json or vocab.txt", role="input"
    )
    output: str = program.flag(help="folder of the shards and the manifest", role="output_folder")
    layout: Literal["pairs", "contiguous", "translation"] = program.flag(
        "pairs",
        help="pairs: two segments of sentences a record; contiguous: text as it stands; "
        "translation: a sentence and its translation",
    )
    max_seq_length: int = program.flag(
        128,
        help="tokens of a row, special ones among them; contiguous: of a record, without any",
        minimum=8,
        maximum=1 << 20,
    )
    num_shards: int = program.flag(
        0, help="shards of the training split; 0: about 8 MB each", minimum=0, maximum=99_999
    )
    short_seq_prob: float = program.flag(
        0.1, help="share of pairs that aim at fewer tokens", minimum=0, maximum=1
    )
    held_out: float = program.flag(
        0.01, help="share of the documents held out, by hash", minimum=0, maximum=0.99
    )
    sentence_objective: Literal["nsp", "sop", "none"] = program.flag(
        "nsp",
        help="nsp or sop: fail where the corpus cannot give pairs; none: go on. For pairs only",
    )
    language: str = program.flag(
        "en", help="ISO 639-1 code of documents that do not say theirs: how their sentences end"
    )
    word_segmentation: Literal[word_starts.SEGMENTATIONS] = program.flag(
        "auto",
        help="words of texts without spaces, for whole-word masking; auto: by each text's language",
    )
    seed: int = program.flag(0, help="of every random choice", **program.SEED)
    num_workers: int = program.flag(
        0, help="processes; 0: one a processor", role="free", **program.WORKERS
    )
    scheduler: str = program.flag(
        "",
        help="Dask scheduler of a cluster, tcp://, tls:// or its file; empty: this machine",
        role="free",
    )
    debug: bool = program.flag(False, help="200 documents, in this process")


@program.takes_urls
def main(config: Config) -> None:
    """Runs the two stages, then writes the manifest."""
    began = time.monotonic()
    tokenizer = tokenizers.load(config.tokenizer)
    tokenizer.check_cuts_alike("examples of running text")
    settings = planning.BuildSettings(
        max_seq_length=config.max_seq_length,
        short_seq_prob=config.short_seq_prob,
        held_out=config.held_out,
        num_shards=config.num_shards,
        seed=config.seed,
        language=config.language,
        max_documents=200 if config.debug else 0,
        layout=config.layout,
        word_segmentation=config.word_segmentation,
    )
    paths = files.expand_from_root(config.input)
    output = Path(config.output).absolute()
    if config.layout == manifest.TRANSLATION:
        claims.of(config).content_changed(output)  # refuses a folder of others, before it writes
        paths = [parallel.documents(paths, output / SCRATCH)]
    if remark := marks.lost_by(tokenizer, _some_texts(paths)):
        logging.warning("%s", remark)
    plan = planning.plan(paths, settings, tokenizer.fingerprint, tokenizer.size)
    segmenters = _segmenters(output)
    claim = _claim(config, tokenizer, segmenters)
    build = planning.build_of(plan.build, segmenters)
    if _finished(output, build) and not claim.content_changed(output):
        logging.info("%s is already built; nothing to do", output)
        shutil.rmtree(output / SCRATCH, ignore_errors=True)
        return
    with claim.held(output):
        claim.begin(output, replaces=True)
        (output / manifest.NAME).unlink(missing_ok=True)  # a folder with one is whole
        tokenizer.save(output / manifest.TOKENIZER)
        where = (1, "") if config.debug else (config.num_workers, config.scheduler)
        with stages.executor(*where, output) as executor:
            described = _build(config, output, settings, plan, tokenizer, executor)
        # From here on, only what cut a language that was found here makes another build.
        _claim(config, tokenizer, described["words"]["segmenters"]).begin(output, replaces=True)
        files.write_json(output / manifest.NAME, described)
        shutil.rmtree(output / SCRATCH)
    seconds = time.monotonic() - began
    print(summary.table(described))
    for remark in [summary.unknown_remark(described), *described["words"]["remarks"]]:
        if remark:
            logging.warning("%s", remark)
    logging.info("%.1f MB/s of text", described["text_bytes"] / 1e6 / seconds)


def _some_texts(paths: list[str]) -> Iterator[str]:
    """Texts of the first documents of twenty files at most."""
    for path in paths[:: -(-len(paths) // 20)]:
        batches = planning.open_documents(path).iter_batches(batch_size=100, columns=["text"])
        for batch in itertools.islice(batches, 1):
            yield from filter(None, batch.column(0).to_pylist())


def _segmenters(output: Path) -> dict[str, str]:
    """What would cut here the words of the languages of a finished build, or of all."""
    if (output / manifest.NAME).exists():
        found = manifest.load(output).get("words") or {"segmenters": {}}
        return word_starts.segmenters(found["segmenters"])
    return word_starts.segmenters(word_starts.LANGUAGES)


def _claim(config: Config, tokenizer, segmenters: dict[str, str]) -> claims.Claim:
    """The claim of a build, which another vocabulary or segmenter makes another."""
    segmentation = [config.word_segmentation, segmenters]
    return claims.of(config, tokenizer=tokenizer.fingerprint, word_segmentation=segmentation)


def _finished(output: Path, build: str) -> bool:
    """Whether the folder holds this very build, whole."""
    if not (output / manifest.NAME).exists():
        return False
    described = manifest.load(output)
    if described["build"] != build:
        return False
    for split in manifest.STEMS:
        manifest.check_files(output, described["splits"][split])
    return True


def _build(config, output, settings, plan, tokenizer, executor) -> dict:
    """Both stages; returns the manifest."""
    tasks = plan.tasks[:1] if config.debug else plan.tasks
    output, scratch = str(output), output / SCRATCH
    fixed = {
        "settings": settings.deciding(),
        "threshold": plan.threshold,
        "shards": plan.shards,
        "fingerprint": tokenizer.fingerprint,
        "segmenters": word_starts.segmenters(word_starts.LANGUAGES),
    }
    encoded = stages.run_stage(
        building.encode_task,
        [
            (i, list(task), str(scratch), str(Path(output, manifest.TOKENIZER)), fixed)
            for i, task in enumerate(tasks)
        ],
        scratch,
        executor,
        program.progress("encode"),
    )
    pairs = config.layout == manifest.PAIRS and config.sentence_objective != "none"
    summary.check_encoded(encoded, pairs)
    cut = word_starts.segmenters(word_starts.summed(encoded, "cut"))
    build = planning.build_of(plan.build, cut)
    fixed = {
        "build": build,
        "tokenizer": str(Path(output, manifest.TOKENIZER)),
        "layout": settings.layout,
        "max_seq_length": settings.max_seq_length,
    }
    names = [
        files.shard_name(manifest.STEMS[split], i, count, manifest.SUFFIX)
        for split, count in plan.shards.items()
        for i in range(count)
    ]
    gathered = stages.run_stage(
        building.gather_task,
        [(i, name, len(tasks), str(scratch), output, fixed) for i, name in enumerate(names)],
        scratch,
        executor,
        program.progress("gather"),
    )
    for stale in set(Path(output).glob(f"*{manifest.SUFFIX}")) - {Path(output, n) for n in names}:
        stale.unlink()  # of an earlier build with other flags
    train = plan.shards["train"]
    shards = {"train": gathered[:train], "held_out": gathered[train:]}
    counts = [np.load(building.counts_path(str(scratch), i)) for i in range(len(names))]
    unigrams = {"train": sum(counts[:train]), "held_out": sum(counts[train:])}
    path = Path(output, manifest.UNIGRAM_COUNTS)
    with files.atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, unigrams["train"])
    return summary.describe(build, settings, tokenizer, encoded, shards, unigrams)


if __name__ == "__main__":
    program.run(main, Config)
