"""What masking whole Chinese words brings: the whole road on Chinese text, by three maskings.

    python -m benchmarks.chinese --data=path/to/data --work=runs/chinese --size=tiny --minutes=10

Curates, tokenizes and builds `histories_zh` once, with the starts of words as `rjieba` finds them
and once more without them, where each character is a word. Then it pretrains three times for the
same number of steps: --masking=token, whole_word of characters, and whole_word of words. As many
steps as the first run makes in `--minutes` are given to each. Held-out loss is measured under one
masking, by token, for all three, in bits a character: losses under different maskings do not
compare. Each is then fine-tuned on ChnSentiCorp, MSRA NER and the Chinese STS-B, three seeds,
beside random weights.

The data folder holds histories_zh/*.txt, chnsenticorp/*.tsv, msra_ner/*.txt and stsb/zh_*.tsv. What
is finished in `--work` is not done again.
"""

import dataclasses
import math
import statistics
import subprocess
import sys
from pathlib import Path

from absl import logging

from roots_tf import examples, models, objectives, program, tokenizers
from roots_tf.storage import files
from roots_tf.training.metrics_file import read_metrics

# Name, masking, and whether examples know the words.
VARIANTS = {
    "token": ("token", True),
    "character": ("whole_word", False),
    "word": ("whole_word", True),
}
BATCH, LENGTH = 32, 128  # rows of a step and tokens of a row
PROBE_STEPS = 400  # of the run that finds how many steps fit into the minutes
RATES = {"tiny": 3e-3, "mini": 1e-3, "small": 5e-4}
TASKS = {
    "reviews": (
        ["--task=classification", "--columns=text=text_a", "--learning_rate=1e-3"],
        "chnsenticorp/{}.tsv",
        "accuracy",
    ),
    "entities": (["--task=tagging", "--learning_rate=1e-3"], "msra_ner/{}.txt", "f1"),
    "similar": (["--task=regression", "--learning_rate=5e-4"], "stsb/zh_{}.tsv", "spearman"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder of the data sets")
    work: str = program.flag("runs/chinese", help="folder of the runs")
    size: str = program.flag("tiny", help="of the model")
    minutes: float = program.flag(10.0, help="of each pretraining", above=0, maximum=10_000)
    steps: int = program.flag(0, help="of each pretraining; 0: by --minutes", **program.STEPS)
    variants: tuple[str, ...] = program.flag(tuple(VARIANTS), help="which of the three")
    seeds: int = program.flag(3, help="of fine-tuning", minimum=0, maximum=100)
    vocab_size: int = program.flag(8192, help="of the tokenizer", minimum=100, maximum=1 << 20)
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> list[dict]:
    """Runs what is not finished, prints the table and returns its rows."""
    work, data = Path(config.work), Path(config.data)
    prepare(config, work, data)
    steps, rows = config.steps or steps_of(config, work), []
    for name in config.variants:
        folder = work / f"{config.size}_{steps}_{name}"
        if not (folder / "model" / "model.json").exists():
            pretrain(config, work, name, steps, folder)
        row = {"masking": name, "steps": steps, "bits a character": bits(folder, work)}
        rows.append(row | scores(config, data, folder, [f"--init_from={folder / 'model'}"]))
        logging.info("%s", rows[-1])
    if config.seeds:
        random = [f"--init_from={folder / 'model'}", "--random_init"]
        found = scores(config, data, work / f"{config.size}_random", random)
        rows.append({"masking": "none: random weights", "steps": 0} | found)
    if config.output:
        files.write_json(config.output, rows)
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    return rows


def run(name: str, *flags: str) -> None:
    """Runs one program in a process of its own."""
    if status := subprocess.run([sys.executable, "-m", f"pipelines.{name}", *flags]).returncode:
        raise files.InputError("step-failed", f"{name} ended with status {status}; see above")


def prepare(config: Config, work: Path, data: Path) -> None:
    """Documents, tokenizer, and examples with and without the starts of words."""
    books = f"--input={data / 'histories_zh'}/*.txt"
    run("curate", books, "--documents=blank_lines", f"--output={work / 'documents'}")
    given = f"--input={work / 'documents'}"
    size = f"--vocab_size={config.vocab_size}"
    run("train_tokenizer", given, size, f"--output={work / 'tokenizer'}")
    for segmentation in ("auto", "none"):
        run(
            "build_examples",
            given,
            f"--tokenizer={work / 'tokenizer'}",
            "--language=zh",
            "--held_out=0.05",
            f"--word_segmentation={segmentation}",
            f"--output={work / f'examples_{segmentation}'}",
        )


def pretrain(config: Config, work: Path, name: str, steps: int, folder: Path) -> None:
    """One pretraining."""
    masking, knows_words = VARIANTS[name]
    run(
        "pretrain",
        f"--examples={work / ('examples_auto' if knows_words else 'examples_none')}",
        f"--output={folder}",
        f"--size={config.size}",
        "--preset=modern",
        f"--masking={masking}",
        f"--duration={steps}",
        f"--batch_size={BATCH}",
        f"--learning_rate={RATES[config.size]}",
        "--initializer_range=0.06",
        "--dropout=0",
        f"--evaluate_every={max(steps // 5, 1)}",
    )


def steps_of(config: Config, work: Path) -> int:
    """Steps that fit into the minutes, by the rate of a short run."""
    probe = work / f"{config.size}_probe"
    if not (probe / "model" / "model.json").exists():
        pretrain(config, work, "token", PROBE_STEPS, probe)
    rates = [row["tokens_per_second"] for row in read_metrics(probe) if row["group"] == "train"]
    return round(60 * config.minutes * rates[-1] / (BATCH * LENGTH), -2)


def bits(folder: Path, work: Path) -> float:
    """Bits a character of held-out rows, masked by token: the same rows and masks for all."""
    import tensorflow as tf

    model, tokenizer = models.load(folder / "model"), tokenizers.load(folder / "model")
    objective = objectives.OBJECTIVES["masked_lm"](masking="token")
    task = objective.make_task(model, tokenizer)
    batches = examples.pipeline(
        work / "examples_auto",
        objective.make_rows,
        split="held_out",
        batch_size=64,
        seed=0,
        num_epochs=1,
    )
    sums = tf.function(lambda batch: task.sums(batch)["masked_lm_loss"])
    nats = characters = 0.0
    for batch in batches:
        nats += float(sums(batch)[0])
        labels = batch["masked_lm_ids"][batch["masked_lm_weights"] > 0].numpy()
        characters += sum(len(tokenizer.vocabulary[i].removeprefix("##")) for i in labels)
    return round(nats / characters / math.log(2), 3)


def scores(config: Config, data: Path, folder: Path, start: list[str]) -> dict[str, str]:
    """Test scores: the median over seeds, the lowest and the highest."""
    found = {}
    for name, (flags, pattern, score) in TASKS.items() if config.seeds else ():
        output = folder / name
        paths = [f"--{split}={data / pattern.format(split)}" for split in ("train", "dev", "test")]
        shared = ["--max_seq_length=128", "--batch_size=32", "--num_epochs=3"]
        seeds = f"--seeds={config.seeds}"
        run("finetune", *start, *flags, *paths, *shared, seeds, f"--output={output}")
        tests = [seed["test"][score] for seed in files.read_json(output / "report.json")["seeds"]]
        median = statistics.median(tests)
        found[name] = f"{median:.3f} ({min(tests):.3f} to {max(tests):.3f})"
    return found


if __name__ == "__main__":
    program.run(main, Config)
