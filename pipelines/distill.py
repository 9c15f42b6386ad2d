"""Teach a small model to be like a large one: knowledge distillation.

    roots distill --teacher=work/task/model --input=train.tsv --output=work/student --num_layers=3 \
        --dev=dev.tsv
    roots distill --teacher=work/minilm --input=texts.txt --output=work/student --num_layers=3

The teacher is a model folder that finetune wrote, of any task, or one without a task: imported or
pretrained. The input is what predict reads for it, or finetune, whose answers are left out unless
`--hard_weight` is above 0; without a task it is texts, and the student learns their vectors.

Takes as long as finetune, and half again for the teacher's answers. The student has as many layers
and heads and is as wide as the teacher but for what flags say, or has the sizes and weights of
`--init_from`. Where only layers differ it starts with every n-th one of the teacher's, else with
random weights. Prints the sizes of both and, with `--dev`, their scores beside what a trivial
answer has that knows the dev file, and writes to the output

    model/        the student, which evaluate, predict, embed and export take
    report.json   the sizes and the scores
    metrics.jsonl, logs/, checkpoints/    as pretrain does; the same command goes on after a stop

Parts of the loss and their sources are in `roots_tf/tasks/distillation.py`.
"""

import dataclasses
from pathlib import Path

import tensorflow as tf
from absl import logging

from roots_tf import files, models, program, tasks, tokenizers
from roots_tf.labelled import tables
from roots_tf.labelled.token_rows import RowBatcher, padded_lengths, train_batches
from roots_tf.tasks import distillation
from roots_tf.tasks.texts import Texts
from roots_tf.training import checkpoints, loop, memory, optimizers, schedules, step, summaries


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `distill`."""

    teacher: str = program.flag(help="model folder to learn from, with its tokenizer")
    input: str = program.flag(help="file of examples or texts to learn on")
    output: str = program.flag(help="folder of the run")
    num_layers: int = program.flag(0, help="layers of the student; 0: the teacher's")
    hidden_dim: int = program.flag(0, help="its hidden size; 0: the teacher's")
    num_heads: int = program.flag(0, help="its attention heads; 0: the teacher's")
    intermediate_dim: int = program.flag(
        0, help="its feed-forward width; 0: the teacher's, scaled as the hidden size"
    )
    init_from: str = program.flag("", help="model folder whose sizes and weights to start from")
    dev: str = program.flag("", help="labelled file to score both models on; none: no scores")
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns that differ: text=sentence,label=gold"
    )
    soft_weight: float = program.flag(
        1.0, help="weight of the teacher's answers; without a task: of the cosines between texts"
    )
    temperature: float = program.flag(2.0, help="softens answers that are classes")
    hard_weight: float = program.flag(0.0, help="weight of the task's own loss, on labels")
    hidden_weight: float = program.flag(1.0, help="weight of the output of blocks")
    embedding_weight: float = program.flag(0.0, help="weight of the output of the embeddings")
    attention_weight: float = program.flag(0.0, help="weight of attention before its softmax")
    cosine_weight: float = program.flag(0.0, help="weight of the last hidden states' direction")
    max_seq_length: int = program.flag(0, help="tokens of a row; 0: the teacher's")
    batch_size: int = program.flag(32, help="examples in a batch")
    num_epochs: float = program.flag(3.0, help="times over the input")
    learning_rate: float = program.flag(1e-4, help="highest learning rate")
    warmup_share: float = program.flag(0.1, help="share of the updates with a rising rate")
    weight_decay: float = program.flag(0.01, help="decay of matrices, none of biases and norms")
    max_grad_norm: float = program.flag(1.0, help="clip gradients to this global norm; 0: do not")
    dropout: float = program.flag(-1.0, help="dropout rate of the student; -1: the teacher's")
    checkpoint_every: int = program.flag(1_000, help="updates between two checkpoints")
    seed: int = program.flag(0, help="of order, dropout and random weights")
    debug: bool = program.flag(False, help="256 examples, one epoch")


def main(config: Config) -> dict:
    """Trains the student, or goes on training it, and returns the report."""
    if config.debug:
        config = dataclasses.replace(config, num_epochs=1.0)
    memory.keep_freed_memory()
    described, tokenizer = models.describe(config.teacher), tokenizers.load(config.teacher)
    encoder = described["encoder"]
    kind = kind_of(config, described)
    sizes = student_sizes(config, encoder, tokenizer)
    longest = min(encoder.max_sequence_length, sizes.max_sequence_length)
    length = min(config.max_seq_length or kind.max_seq_length, longest)
    kind = dataclasses.replace(kind, max_seq_length=length)
    parts = distillation.Parts(
        **{
            part.name: getattr(config, f"{part.name}_weight")
            for part in dataclasses.fields(distillation.Parts)
        }
    )
    output = Path(config.output)
    if report := files.claim(output, dataclasses.asdict(config)):
        logging.info("%s has finished; nothing to do", output)
        return report
    teacher = kind.load_model(config.teacher)
    student = make_student(config, kind, sizes, teacher)
    task = distillation.Distillation(kind, teacher, student, parts, config.temperature, config.seed)
    rows = kind.rows(read_input(config, kind), tokenizer, labelled=config.hard_weight > 0)
    train(config, task, rows, tokenizer.pad_id)
    described = kind.description()
    models.save(output / "model", student, **described)
    tokenizer.save(output / "model")
    report = {"task": described.get("task", {}).get("name")}
    report |= {"teacher": size_of(teacher), "student": size_of(student)}
    if config.dev:
        report |= compare(config, kind, teacher, student, tokenizer)
    show(report)
    files.write_json(output / "report.json", report)
    return report


def kind_of(config: Config, described: dict) -> tasks.FineTuning:
    """The teacher's task, or `Texts` where it has none.

    Raises:
        InputError: the teacher is a classifier of no known task, or has no task to score.
    """
    if "task" in described or described["kind"] not in ("encoder", "pretrainer"):
        return tasks.restore(described)
    if config.dev:
        raise files.InputError(
            f"found --dev and a teacher without a task, {config.teacher}; wanted no --dev, or a "
            "model folder that finetune wrote"
        )
    return Texts(max_seq_length=described["encoder"].max_sequence_length)


def student_sizes(
    config: Config, teacher: models.EncoderConfig, tokenizer: tokenizers.Tokenizer
) -> models.EncoderConfig:
    """Sizes of the student: of `--init_from`, or the teacher's but for what flags say.

    Raises:
        InputError: the flags give no sizes, or ones that go neither with the teacher's nor with
            `--init_from`, whose tokenizer must be the teacher's.
    """
    names = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")
    given = {name: getattr(config, name) for name in names if getattr(config, name)}
    if not given and not config.init_from:
        raise files.InputError(
            "found no sizes of the student; wanted --num_layers, --hidden_dim or --init_from"
        )
    if config.init_from:
        sizes = models.describe(config.init_from)["encoder"]
        if wrong := [name for name, value in given.items() if value != getattr(sizes, name)]:
            raise files.InputError(
                f"found --{wrong[0]}={given[wrong[0]]} and {getattr(sizes, wrong[0])} in "
                f"{config.init_from}; wanted --init_from without sizes, which are the model's"
            )
        if tokenizers.load(config.init_from).fingerprint != tokenizer.fingerprint:
            raise files.InputError(
                f"found different tokenizers in {config.init_from} and {config.teacher}; wanted "
                "the same: a student reads the tokens that its teacher reads"
            )
    else:
        wide = teacher.intermediate_dim
        if config.hidden_dim:
            wide = max(1, wide * config.hidden_dim // teacher.hidden_dim)
        sizes = dataclasses.replace(teacher, **{"intermediate_dim": wide} | given)
    for name in ("num_layers", "hidden_dim"):
        found, most = getattr(sizes, name), getattr(teacher, name)
        if not 1 <= found <= most:
            raise files.InputError(
                f"found a student of {name}={found}; wanted 1 to {most}, which the teacher has"
            )
    return sizes if config.dropout < 0 else dataclasses.replace(sizes, dropout=config.dropout)


def make_student(config: Config, kind, sizes: models.EncoderConfig, teacher):
    """The student with the weights that it starts from."""
    student = kind.make_model(sizes, config.seed)
    if config.init_from:
        if not models.load_encoder(config.init_from, student):
            logging.warning("%s has no pooler; it starts at random", config.init_from)
    elif distillation.is_cut(sizes, teacher.config):
        distillation.copy_weights(teacher, student)
    else:
        logging.info("the student's sizes are not the teacher's: it starts from random weights")
    return student


def read_input(config: Config, kind: tasks.FineTuning):
    """Examples to learn on, with answers where the hard part wants them.

    Raises:
        InputError: the file is neither of texts nor of labelled examples.
    """
    columns = tables.column_names(config.columns)
    if config.hard_weight:
        examples = kind.read(config.input, columns)
    else:
        try:
            examples = kind.read(config.input, columns, labelled=False)
        except files.InputError as without:
            if not kind.scalars:  # there is no labelled file of its kind
                raise
            try:  # columns without names are those of a labelled file
                examples = kind.read(config.input, columns)
            except files.InputError as labelled:
                raise files.InputError(f"{without}; and with answers: {labelled}") from labelled
    return tables.first(examples, 256) if config.debug else examples


def train(config: Config, task: distillation.Distillation, rows, pad_id: int) -> None:
    """Trains the student from where the last checkpoint stands."""
    count = len(rows) // rows.group
    batch_size = min(config.batch_size, count)
    total = max(1, round(config.num_epochs * count / batch_size))
    weights = {variable.path: variable.value for variable in task.model.trainable_variables}
    optimizer = optimizers.AdamW(list(weights.values()), config.weight_decay)
    now = tf.Variable(0, dtype=tf.int64, trainable=False)
    moments = {f"moment_{i}": moment for i, moment in enumerate(optimizer.variables)}
    state = checkpoints.Checkpoints(
        Path(config.output, "checkpoints"), {"step": now} | weights | moments
    )
    state.restore()
    train_step = step.make_train_step(
        task,
        optimizer,
        lambda at: schedules.linear(
            at,
            peak=config.learning_rate,
            warmup_steps=round(config.warmup_share * total),
            total_steps=total,
        ),
        seed=config.seed,
        max_grad_norm=config.max_grad_norm,
    )
    batcher = RowBatcher(rows, pad_id, padded_lengths(task.kind.max_seq_length))
    loop.train(
        train_step,
        lambda start: train_batches(rows, batcher, batch_size, config.seed, start),
        now,
        total_steps=total,
        tokens_per_step=round(rows.lengths.mean() * rows.group * batch_size),
        examples_per_step=batch_size,
        checkpoint_every=config.checkpoint_every,
        checkpoints=state,
        summaries=summaries.Summaries(config.output, int(now.numpy())),
    )


def size_of(model) -> dict[str, int]:
    """Numbers that say how large a model is; `bytes` are those of its weights."""
    sizes, weights = model.config, [variable.numpy() for variable in model.variables]
    names = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")
    return {
        "parameters": sum(weight.size for weight in weights),
        "bytes": sum(weight.nbytes for weight in weights),
        **{name: getattr(sizes, name) for name in names},
    }


def compare(config: Config, kind, teacher, student, tokenizer) -> dict:
    """Scores of both models on the dev file.

    Returns:
        `dev`, the scores of `teacher`, `student` and `baseline`, and `agreement`, the share of
        examples that both answer alike, where answers are no numbers.
    """
    columns = tables.column_names(config.columns)
    examples = kind.read(config.dev, columns)
    if config.debug:
        examples = tables.first(examples, 256)
    rows = kind.rows(examples, tokenizer)
    found = {
        name: kind.predictions(
            examples,
            rows,
            tasks.predict(kind, model, rows, config.batch_size, tokenizer.pad_id),
        )
        for name, model in (("teacher", teacher), ("student", student))
    }
    scores = {name: kind.scores(examples, predictions) for name, predictions in found.items()}
    report = {"dev": scores | {"baseline": kind.baseline(examples, examples)}}
    if answer := kind.agrees_on:
        alike = [a[answer] == b[answer] for a, b in zip(*found.values(), strict=True)]
        report["agreement"] = sum(alike) / len(alike)
    return report


def show(report: dict) -> None:
    """Prints the table of sizes and scores."""
    print(f"{'':<28} {'teacher':>12} {'student':>12} {'trivial':>12}")
    teacher, student = report["teacher"], report["student"]
    for name in teacher:
        print(f"{name:<28} {teacher[name]:>12,} {student[name]:>12,}")
    dev = report.get("dev", {"student": {}})
    for name, value in dev["student"].items():
        if not isinstance(value, dict):
            numbers = (dev[whose][name] for whose in ("teacher", "student", "baseline"))
            print(f"{'dev ' + name:<28} " + " ".join(f"{number:>12.3f}" for number in numbers))
    if "agreement" in report:
        print(f"{'dev answers alike':<28} {'':>12} {report['agreement']:>12.3f}")


if __name__ == "__main__":
    program.run(main, Config)
