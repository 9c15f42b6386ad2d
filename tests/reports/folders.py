"""Folders of runs, as the programs leave them, written by hand."""

import json
from pathlib import Path

HOSTILE = "<script>alert(1)</script>\u202e\"&'</td>" + "x" * 300 + "北京 שלום"
LABELS = ("neg", HOSTILE, "中性")


def write(folder: Path, name: str, value) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = value if isinstance(value, str) else json.dumps(value)
    (folder / name).write_text(text)


def lines(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def row(step: int, group: str = "train", **scalars) -> dict:
    """A row of metrics.jsonl; of training 640 tokens a step of 32 examples, 10 steps a second."""
    speeds = {"tokens_per_second": 6400.0, "examples_per_second": 320.0, "input_wait": 0.25}
    return {"group": group, "step": step} | (speeds if group == "train" else {}) | scalars


def pretrained(folder: Path, losses=(9.0, 8.0, 7.0), finished: bool = True, **flags) -> Path:
    """Rows every 10 steps, one evaluation at the end."""
    steps = [10 * (place + 1) for place in range(len(losses))]
    last = steps[-1] if steps else 10
    settings = {
        "examples": "gone/<b>",
        "batch_size": 32,
        "warmup_steps": 1,
        "objective": "masked_lm",
    }
    settings |= {"learning_rate": 1e-4, "evaluate_every": 10, "max_seq_length": 20}
    head = {"roots_tf": "0.2.0", "program": "pretrain", "output": str(folder), "inputs": {}}
    write(folder, "config.json", head | {"size": "tiny", "seed": 0} | settings | flags)
    plan = {"precision": "float32", "builds": ["b"], "last_steps": [last], "phases": [settings]}
    write(folder, "plan.json", plan)
    rows = [
        row(step, learning_rate=step * 1e-5, gradient_norm=1.0)
        | ({} if loss is None else {"masked_lm_loss": loss, "masked_lm_accuracy": 0.1})
        for step, loss in zip(steps, losses, strict=True)
    ]
    rows += [row(last, "held_out", masked_lm_loss=7.5, masked_lm_accuracy=0.2)] * bool(losses)
    write(folder, "metrics.jsonl", lines(rows))
    if finished:
        held_out = {"masked_lm_loss": 7.5, "masked_lm_accuracy": 0.2, "unigram_entropy": 6.5}
        write(folder, "report.json", {"step": last, "group": "held_out"} | held_out)
    return folder


def classified(number: int, labels=LABELS) -> list[dict]:
    """Predictions: every third is wrong, by one label, the surer the later."""
    rows = []
    for place in range(number):
        right, found = (labels[i % len(labels)] for i in (place, place + (place % 3 == 2)))
        about = {"label": found, "score": 0.5 + place / 2 / number, "probabilities": {found: 1.0}}
        rows.append({"text": f"{place} {HOSTILE}"} | about | {"gold": right})
    return rows


def finetuned(folder: Path, predictions=None, task: str = "classification", **report) -> Path:
    head = {"roots_tf": "0.2.0", "program": "finetune", "output": str(folder), "inputs": {}}
    flags = {"train": "train.tsv", "dev": "dev.tsv", "init_from": "m", "task": task, "seeds": 2}
    write(folder, "config.json", head | flags | {"batch_size": 32})
    write(folder, "plan.json", {"precision": "float32", "batch_size": 32})
    classes = {label: {"precision": 0.5, "f1": 0.25, "support": 3} for label in LABELS}
    seeds = [
        {"seed": seed, "degenerate": not seed}
        | {"dev": {"accuracy": 0.5 + seed / 4, "matthews": None, "by_class": classes}}
        for seed in range(2)
    ]
    found = {"task": task, "labels": list(LABELS), "score": "accuracy", "best_seed": 1}
    found |= {"seeds": seeds, "dev_accuracy": 0.625, "dev_accuracy_range": [0.5, 0.75]}
    found |= {"dev_baseline_accuracy": 0.25, "conditions": {"dev": {}}}
    write(folder, "report.json", found | report)
    for seed in range(2):
        rows = [row(step, classification_loss=2.0 / step) for step in (10, 20)]
        rows.append(row(20, "held_out", accuracy=0.5 + seed / 4))
        write(folder / f"seed_{seed}", "metrics.jsonl", lines(rows))
    write(folder, "dev_predictions.jsonl", lines(predictions or classified(9)))
    return folder


def distilled(folder: Path) -> Path:
    head = {"roots_tf": "0.2.0", "program": "distill", "output": str(folder), "inputs": {}}
    write(folder, "config.json", head | {"teacher": "t", "input": "i", "batch_size": 32})
    write(folder, "plan.json", {"precision": "float32", "batch_size": 32})
    write(folder, "metrics.jsonl", lines([row(10, soft_loss=1.5), row(20, soft_loss=1.0)]))
    dev = {"teacher": 0.9, "student": 0.8, "baseline": 0.5}
    report = {"task": "classification", "agreement": 0.85}
    report |= {"teacher": {"parameters": 4000}, "student": {"parameters": 1000}}
    write(folder, "report.json", report | {"dev": {n: {"accuracy": v} for n, v in dev.items()}})
    return folder
