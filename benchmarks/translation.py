"""Multi30k: translators of `roots finetune` beside Hugging Face's BART under `Seq2SeqTrainer`.

    python -m benchmarks.translation --data=path/to/multi30k_en_de --work=runs/translation \
        --hugging_face=/path/to/python --output=runs/translation/scores.json

Both are of the same sizes and parts (`--preset=transformer`: those of Marian), read the same ids
of one vocabulary, and have the same updates on as many pairs, rates, dropout, smoothing and beams;
each draws for itself, with the deviation of initial weights that is its default. BLEU is
sacreBLEU's of the test file; beside it that of tokenized small letters, in which papers report it,
where sacremoses is installed. Minutes are those of the whole process, test answers included.

`--seeds` are of ours; the peer has seed 0. Each run that has finished is kept in `--work`. 3,200
updates of 128 pairs, 4 and 4 layers of width 128, take some 40 minutes of ours on two processors.
`--debug` takes some minutes, and its scores say nothing.
"""

import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks import tokenised_bleu
from pipelines import train_tokenizer
from roots_tf import program, tokenizers
from roots_tf.labelled import prediction_files
from roots_tf.metrics import generated
from roots_tf.storage import files

SCRIPT = Path(__file__).with_name("translation_hugging_face.py")
SPLITS = {"train": "train.{}", "dev": "val.{}", "test": "test_2016_flickr.{}"}
EPSILON = 1e-6  # of AdamW in `roots finetune`
TRAINING = (
    *("batch_size", "learning_rate", "schedule", "warmup_steps", "dropout", "label_smoothing"),
)
SHARED = ("updates", "preset", *TRAINING, "layers", "hidden", "heads", "intermediate")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder of train.en, train.de, val.*, test_2016_flickr.*")
    source: str = program.flag("en", help="language to translate from")
    target: str = program.flag("de", help="language to translate into")
    hugging_face: str = program.flag("", help="Python with torch, transformers and accelerate")
    init_from: str = program.flag(
        "", help="model folder that ours starts from; none: random weights"
    )
    pairs: int = program.flag(29_000, help="of the training file", minimum=100, maximum=1 << 20)
    updates: int = program.flag(3_200, help="of each run", **program.STEPS)
    batch_size: int = program.flag(128, help="pairs of an update", **program.ROWS)
    learning_rate: float = program.flag(2e-3, help="highest", minimum=0, maximum=1)
    schedule: Literal["inverse_sqrt", "linear"] = program.flag(
        "linear", help="of the rate after its rise"
    )
    warmup_steps: int = program.flag(300, help="updates of rising rate", **program.STEPS)
    dropout: float = program.flag(0.1, help="rate; attention has none", **program.DROPOUT)
    label_smoothing: float = program.flag(0.1, help="share", minimum=0, maximum=0.9)
    average_checkpoints: int = program.flag(0, help="of ours alone", minimum=0, maximum=100)
    preset: Literal["bart", "transformer"] = program.flag("bart", help="parts of both")
    layers: int = program.flag(4, help="of either half", **program.LAYERS)
    hidden: int = program.flag(128, help="width", **program.WIDTH)
    heads: int = program.flag(4, help="of attention", **program.WIDTH)
    intermediate: int = program.flag(256, help="feed-forward width", **program.WIDTH)
    vocab_size: int = program.flag(
        6_000, help="ids of both languages", minimum=300, maximum=1 << 20
    )
    seeds: int = program.flag(1, help="runs of ours, of seeds 0, 1, ...", minimum=1, maximum=100)
    work: str = program.flag("runs/translation", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the results; none if empty")
    debug: bool = program.flag(False, help="2,000 pairs and 20 updates")


def main(config: Config) -> list[dict]:
    """Trains all, prints the table and returns its rows."""
    if config.debug:
        small = {"pairs": 2_000, "updates": 20, "warmup_steps": 5, "seeds": 1}
        config = dataclasses.replace(config, **small)
    work = Path(config.work)
    paths = {split: sides(config, work, split) for split in SPLITS}
    tokenizer = Path(config.init_from) if config.init_from else work / "tokenizer"
    if not (tokenizer / "tokenizer.json").exists():
        flags = {"vocab_size": config.vocab_size, "lowercase": False, "model": "bpe"}
        flags |= {"input": paths["train"], "output": str(tokenizer)}
        train_tokenizer.main(program.make(train_tokenizer.Config, **flags))
    rows = ours(config, paths, tokenizer)
    if config.hugging_face:
        rows.append(theirs(config, paths, tokenizer))
    print(f"\n{'':<20}{'BLEU':>8}{'chrF':>8}{'tokenised':>11}{'minutes':>9}")
    for row in rows:
        tokenised = row["tokenised_bleu"]
        shown = "-" if tokenised is None else f"{tokenised:.2f}"
        print(
            f"{row['name']:<20}{row['bleu']:>8.2f}{row['chrf']:>8.2f}{shown:>11}"
            f"{row['minutes']:>9.1f}",
            flush=True,
        )
    if config.output:
        files.write_json(config.output, rows)
    return rows


def sides(config: Config, work: Path, split: str) -> tuple[str, str]:
    """The two files of a split; of training the first pairs alone."""
    found = []
    for language in (config.source, config.target):
        path = Path(config.data, SPLITS[split].format(language))
        if split == "train":
            lines = path.read_text("utf-8").splitlines()[: config.pairs]
            path = work / f"train-{config.pairs}.{language}"
            files.write_text(path, "".join(f"{line}\n" for line in lines))
        found.append(str(path))
    return tuple(found)


def ours(config: Config, paths: dict, tokenizer: Path) -> list[dict]:
    """Scores of each seed of `roots finetune`, with the minutes that one took in the mean."""
    start = {"init_from": config.init_from}
    if not config.init_from:
        start = {
            "tokenizer": tokenizer,
            "preset": config.preset,
            "num_layers": config.layers,
            "hidden_dim": config.hidden,
        }
        start |= {"num_heads": config.heads, "intermediate_dim": config.intermediate}
    flags = start | {name: getattr(config, name) for name in (*TRAINING, "seeds")}
    flags |= {split: ",".join(two) for split, two in paths.items()}
    flags |= {
        "task": "sequence_to_sequence",
        "attention_dropout": 0.0,
        "num_epochs": config.updates * config.batch_size / config.pairs,
        "evaluate_every": max(1, config.updates // 8),
        "average_checkpoints": config.average_checkpoints,
        "checkpoint_every": max(1, config.updates // 40),
    }
    output = Path(config.work, f"ours-{files.fingerprint({k: str(v) for k, v in flags.items()})}")
    clock = output.with_suffix(".json")
    if not clock.exists():
        command = [sys.executable, "-m", "pipelines.finetune", f"--output={output}"]
        minutes = run([*command, *(f"--{name}={value}" for name, value in flags.items())])
        files.write_json(clock, minutes / config.seeds)
    report, minutes = files.read_json(output / "report.json"), files.read_json(clock)
    best = prediction_files.read(str(output / "test_predictions.jsonl")).answers
    tokenised = scores(config, paths, best)["tokenised_bleu"]
    return [
        {
            "name": f"roots-tf, seed {row['seed']}",
            "bleu": row["test"]["bleu"],
            "chrf": row["test"]["chrf"],
            "tokenised_bleu": tokenised if row["seed"] == report["best_seed"] else None,
            "minutes": minutes,
        }
        for row in report["seeds"]
    ]


def theirs(config: Config, paths: dict, folder: Path) -> dict:
    """The same of Hugging Face, in its own Python, of one seed."""
    tokenizer = tokenizers.load(folder)
    spec = {name: getattr(config, name) for name in SHARED}
    spec |= {"eos_id": tokenizer.eos_id, "pad_id": tokenizer.causal_pad_id, "epsilon": EPSILON}
    spec |= {"bos_id": tokenizer.bos_id, "size": tokenizer.size}
    for split in ("train", "test"):
        for side, path in zip(("sources", "targets"), paths[split], strict=True):
            texts = Path(path).read_text("utf-8").splitlines()
            ids, splits = tokenizer.encode(texts)
            spec[f"{split}_{side}"] = [part.tolist() for part in np.split(ids, splits[1:-1])]
    path = Path(config.work, f"theirs-{files.fingerprint(spec)}.json")
    if not path.exists():
        given = path.with_suffix(".spec.json")
        files.write_json(given, spec)
        with files.atomic_path(path) as temporary:
            # Not as a file: it would take benchmarks/tokenizers.py for that library.
            command = [config.hugging_face, "-c", SCRIPT.read_text("utf-8"), given, temporary]
            minutes = run(command)
            found = {"answers": files.read_json(temporary), "minutes": minutes}
            temporary.write_text(json.dumps(found))
    found = files.read_json(path)
    answers = [tokenizer.decode(ids) for ids in found["answers"]]
    name = {"name": "hugging face", "minutes": found["minutes"]}
    return name | scores(config, paths, answers)


def scores(config: Config, paths: dict, answers: list[str]) -> dict:
    """BLEU and chrF of answers to the test file, and BLEU of tokenised small letters or None."""
    right = Path(paths["test"][1]).read_text("utf-8").splitlines()
    found = generated.scores(answers, right, config.target)
    tokenised = None
    if importlib.util.find_spec("sacremoses"):
        moses = tokenised_bleu.moses(config.target)
        tokenised = tokenised_bleu.tokenised_bleu(answers, right, moses)
    return {"bleu": found["bleu"], "chrf": found["chrf"], "tokenised_bleu": tokenised}


def run(command: list) -> float:
    """Runs one side to its end; its minutes."""
    began = time.monotonic()
    if status := subprocess.run(list(map(str, command))).returncode:
        raise files.InputError(
            "step-failed", f"training in {command[0]} ended with status {status}; see above"
        )
    return (time.monotonic() - began) / 60


if __name__ == "__main__":
    program.run(main, Config)
