"""Classes from few labels: fine-tuning, low-rank pairs, a cloze, a prompt, vectors, a regression.

    python -m benchmarks.few_labels --data=path/to/data --model=runs/mini/model \
        --causal_model=runs/gpt/model --work=runs/few_labels --output=runs/few_labels/scores.json

Of SST-2 and of BBC's topics, `--labels` training texts are drawn `--draws` times, as many of each
class as of any other; a table has the median accuracy on the test file, the lowest and the highest.
All start from one masked language model; a cloze of no labels is asked as it is. `in-context` asks
a causal one with the same template and words, and trains nothing: as many of the labelled texts as
have room stand in its prompt. Updates and rates are the same for all draws, and chosen by no
labelled text. Runs that have finished are kept.
"""

import dataclasses
import json
import statistics
from pathlib import Path

import numpy as np
from absl import logging
from sklearn.linear_model import LogisticRegression

import roots_tf as roots
from pipelines import finetune
from roots_tf import labelled, models, program, tasks
from roots_tf.labelled import tables
from roots_tf.storage import files
from roots_tf.tasks.task_flags import TaskFlags

# Template and words of each set were written down before any was tried.
SETS = {
    "sst2": {
        "files": "sst2/{}.tsv",
        "columns": ("text", "label"),
        "template": "{text} It was [MASK].",
        "verbalizer": ("0=bad|terrible|dull", "1=good|great|fine"),
    },
    "bbc_news": {
        "files": "bbc_news/{}.jsonl",
        "columns": (),
        "template": "A story of [MASK]: {text}",
        "verbalizer": (
            *("business=business|money", "entertainment=music|theatre"),
            *("politics=government|parliament", "sport=sport|game", "tech=machine|machines"),
        ),
    },
}
METHODS = ("fine-tuning", "lora", "cloze", "vectors", "in-context")
UNTRAINED = ("cloze", "in-context")  # which answer without a label


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder of sst2 and bbc_news")
    model: str = program.flag(help="folder of a masked language model")
    causal_model: str = program.flag(
        "", help="folder of a causal language model; none: no in-context"
    )
    labels: tuple[str, ...] = program.flag(("0", "10", "100"), help="labelled texts in all")
    draws: int = program.flag(5, help="of the labelled texts", minimum=1, maximum=100)
    methods: tuple[str, ...] = program.flag(METHODS, help=f"of {', '.join(METHODS)}")
    sets: tuple[str, ...] = program.flag(tuple(SETS), help=f"of {', '.join(SETS)}")
    updates: int = program.flag(60, help="of each training, 16 texts each", **program.STEPS)
    learning_rate: float = program.flag(1e-3, help="of all but LoRA", minimum=0, maximum=1)
    lora_learning_rate: float = program.flag(5e-3, help="of LoRA", minimum=0, maximum=1)
    work: str = program.flag("runs/few_labels", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the scores; none if empty")


def main(config: Config) -> list[dict]:
    """Runs all; prints the table and returns its rows."""
    logging.set_verbosity(logging.WARNING)
    rows = []
    for name in config.sets:
        for count in map(int, config.labels):
            for method in config.methods:
                if count == 0 and method not in UNTRAINED:
                    continue
                if method == "in-context" and not config.causal_model:
                    continue
                draws = range(config.draws if count else 1)
                scores = [accuracy(config, name, count, method, draw) for draw in draws]
                rows.append({"set": name, "labels": count, "method": method, "scores": scores})
                print(
                    f"{name:<10}{count:>6}  {method:<12}{statistics.median(scores):>7.3f}"
                    f"{min(scores):>7.3f}{max(scores):>7.3f}",
                    flush=True,
                )
    if config.output:
        files.write_json(config.output, rows)
    return rows


def accuracy(config: Config, name: str, count: int, method: str, draw: int) -> float:
    """Accuracy on the test file of one training."""
    about = SETS[name]
    test = read(config, name, "test")
    texts = draw_texts(read(config, name, "train"), count, draw)
    if method == "vectors":
        return of_vectors(config, texts, test)
    paths = (
        Path(config.work, f"{name}-test.jsonl"),
        Path(config.work, f"{name}-{count}-{draw}.jsonl"),
    )
    for path, rows in zip(paths, (test, texts), strict=True):
        files.write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
    asked, drawn = map(str, paths)
    rates = {"lora": config.lora_learning_rate}
    batch = min(16, count) or 16
    flags = {
        **{"init_from": config.model, "dev": asked, "test": asked, "seeds": 1},
        **{"train": drawn if count else "", "max_seq_length": 128, "batch_size": batch},
        **{"learning_rate": rates.get(method, config.learning_rate)},
        **{"num_epochs": config.updates * batch / max(1, count), "warmup_share": 0.1},
        "evaluate_every": config.updates,
    }
    if method == "in-context":
        longest = models.describe(config.causal_model)["encoder"].max_sequence_length
        flags |= {"init_from": config.causal_model, "max_seq_length": longest, "num_shots": count}
    if method in UNTRAINED:
        flags |= {"task": "cloze", "calibrate": True}
        flags |= {"template": about["template"], "verbalizer": about["verbalizer"]}
    if method == "lora":
        flags |= {"tune": "lora"}
    prints = files.fingerprint([flags, method, draw])
    flags["output"] = str(Path(config.work, f"{name}-{count}-{method}-{draw}-{prints}"))
    return finetune.main(program.make(finetune.Config, **flags))["test_accuracy"]


def read(config: Config, name: str, split: str) -> list[dict]:
    """Texts and labels of a file."""
    about = SETS[name]
    path = str(Path(config.data, about["files"].format(split)))
    flags = TaskFlags(columns=about["columns"])
    table = labelled.read_examples(tasks.KINDS["classification"](), path, flags)
    columns = tables.strings(table, "text"), tables.labels(table, "label")
    return [{"text": text, "label": label} for text, label in zip(*columns, strict=True)]


def draw_texts(rows: list[dict], count: int, draw: int) -> list[dict]:
    """So many labelled texts, of each class as many as of any other."""
    names = sorted({row["label"] for row in rows})
    order = np.random.default_rng([draw, count]).permutation(len(rows))
    chosen = []
    for name in names:
        of_class = [rows[i] for i in order if rows[i]["label"] == name]
        chosen += of_class[: count // len(names)]
    return chosen


def of_vectors(config: Config, texts: list[dict], test: list[dict]) -> float:
    """Accuracy of a logistic regression over the encoder's vectors."""
    model, learner = roots.load(config.model), LogisticRegression(max_iter=1000)
    learner.fit(roots.embed(model, [row["text"] for row in texts]), [r["label"] for r in texts])
    vectors = roots.embed(model, [row["text"] for row in test])
    return float(learner.score(vectors, [row["label"] for row in test]))


if __name__ == "__main__":
    program.run(main, Config)
