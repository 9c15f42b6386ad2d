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
    report.json   the sizes and the scores; report.html shows them and the curves
    metrics.jsonl, logs/, checkpoints/    as pretrain does; the same command goes on after a stop

Parts of the loss and their sources are in `roots_tf/tasks/distillation.py`.
"""

import dataclasses
from pathlib import Path

from absl import logging

from roots_tf import labelled, models, program, reports, tasks, tokenizers, training
from roots_tf.metrics import of_students
from roots_tf.storage import claims, files, inputs
from roots_tf.training.settings import Cadence, Hardware, Optimization

SIZES = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")


@dataclasses.dataclass(frozen=True)
class StudentFlags:
    """Sizes and start of the student."""

    num_layers: int = program.flag(0, help="its layers; 0: the teacher's", **program.LAYERS)
    hidden_dim: int = program.flag(0, help="its hidden size; 0: the teacher's", **program.WIDTH)
    num_heads: int = program.flag(0, help="its attention heads; 0: the teacher's", **program.WIDTH)
    intermediate_dim: int = program.flag(
        0, help="feed-forward width; 0: the teacher's, scaled as --hidden_dim", **program.WIDTH
    )
    init_from: str = program.flag(
        "", help="model folder whose sizes and weights to start from", role="input"
    )
    dropout: float = program.flag(-1.0, help="dropout rate; -1: the teacher's", **program.DROPOUT)


def _weight(default: float, what: str):
    """A flag of the weight of a part of the loss."""
    return program.flag(default, help=f"weight of {what}", **program.WEIGHT)


@dataclasses.dataclass(frozen=True)
class LossFlags:
    """What the student learns from its teacher, and how texts become rows."""

    soft_weight: float = _weight(1.0, "the teacher's answers; without a task: cosines of texts")
    temperature: float = program.flag(2.0, help="softens classes' answers", above=0, maximum=1000)
    hard_weight: float = _weight(0.0, "the task's own loss, on labels")
    hidden_weight: float = _weight(1.0, "the output of blocks")
    embedding_weight: float = _weight(0.0, "the output of the embeddings")
    attention_weight: float = _weight(0.0, "attention before its softmax")
    cosine_weight: float = _weight(0.0, "the last hidden states' direction")
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns that differ, text=sentence, or the order of all: label,text"
    )
    encoding: str = program.flag("utf-8", help="of text files: GB18030, Big5, Latin-1, ...")
    max_seq_length: int = program.flag(0, help="tokens a row; 0: the teacher's", **program.TOKENS)

    def parts(self) -> "tasks.Parts":
        """Weights of the parts of the loss.

        Raises:
            InputError: one is below 0, or all are 0.
        """
        names = [part.name for part in dataclasses.fields(tasks.Parts)]
        return tasks.Parts(**{name: getattr(self, f"{name}_weight") for name in names})


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `distill`."""

    teacher: str = program.flag(help="model folder to learn from, with its tokenizer", role="input")
    input: str = program.flag(help="file of examples or texts to learn on", role="input")
    output: str = program.flag(help="folder of the run", role="output_folder")
    dev: str = program.flag(
        "", help="labelled file to score both models on; none: no scores", role="input"
    )
    num_epochs: float = program.flag(3.0, help="times over the input", above=0, maximum=1e6)
    seed: int = program.flag(0, help="of order, dropout and random weights", **program.SEED)
    debug: bool = program.flag(False, help="256 examples, drawn from all; one epoch")
    student: StudentFlags = program.group(StudentFlags(), "model")
    objective: LossFlags = program.group(LossFlags(), "objective")
    optimization: Optimization = program.group(Optimization(), "optimization")
    hardware: Hardware = program.group(Hardware(), "hardware")
    cadence: Cadence = program.group(Cadence(evaluate_every=0), "cadence")


@program.takes_urls
def main(config: Config) -> dict:
    """Trains the student, or goes on training it, and returns the report."""
    config = program.replace(config, num_epochs=1.0) if config.debug else config
    program.check(config)
    training.check_trackers(config.cadence.report_to)
    training.keep_freed_memory()
    for folder in filter(None, (config.teacher, config.student.init_from)):
        tasks.refuse_causal(folder)
    inputs.check(config, "input", "dev")
    described, tokenizer = models.describe(config.teacher), tokenizers.load(config.teacher)
    encoder = described["encoder"]
    kind = kind_of(config, described)
    sizes = student_sizes(config, encoder, tokenizer)
    longest = min(encoder.max_sequence_length, sizes.max_sequence_length)
    length = min(config.objective.max_seq_length or kind.max_seq_length, longest)
    kind = dataclasses.replace(kind, max_seq_length=length)
    parts, output = config.objective.parts(), Path(config.output)
    if config.cadence.evaluate_every and not config.dev:
        both = "found --evaluate_every and no --dev; wanted both, or neither"
        raise files.InputError("missing-flag", both)
    claim = claims.of(config, **config.optimization.decided_by(config.cadence))
    if report := claim.finished(output):
        logging.info("%s has finished; nothing to do", output)
        return report
    is_chief = config.hardware.is_chief
    with claim.held(output, is_chief), reports.written(output, is_chief):
        machine = training.Machine.of(config.hardware)
        rows = kind.rows(read_input(config, kind), tokenizer, labelled=parts.hard > 0)
        dev = read_dev(config, kind, tokenizer) if config.dev else None
        replicas = machine.strategy.num_replicas_in_sync
        fitted = config.optimization.fitted(rows.num_examples, replicas, config.input)
        config = dataclasses.replace(config, optimization=fitted)
        with machine.strategy.scope():
            computation = machine.computation(output, config.hardware, measure=False)
            teacher = kind.load_model(config.teacher, computation.precision)
            student = make_student(config, kind, sizes, teacher, computation.precision)
            temperature = config.objective.temperature
            task = tasks.Distillation(kind, teacher, student, parts, temperature, config.seed)
            machine.check(task, computation, config.optimization)
            machine.claim(output, claim, computation, batch_size=fitted.batch_size)
            run = train(config, task, (rows, dev), tokenizer, machine, computation)
            if not machine.is_chief:
                return {}
            run.finish()
            described = kind.description()
            models.save(output / "model", student, **described)
            tokenizer.save(output / "model")
            report = {"task": described.get("task", {}).get("name")}
            report |= {"teacher": size_of(teacher), "student": size_of(student)}
            if config.dev:
                both = map(kind.load_model, (config.teacher, output / "model"))  # read in float32
                report |= compare(config, kind, *both, dev, tokenizer)
        print(of_students.table(report))
        files.write_json(output / "report.json", report)
        run.report(report)
        return report


def kind_of(config: Config, described: dict):
    """The teacher's task, or `Texts` where it has none.

    Args:
        config: of the run.
        described: what `models.describe` gives for the teacher.

    Raises:
        InputError: the teacher is a classifier of no known task, or has no task to score or to
            learn labels of.
    """
    if "task" in described or described["kind"] not in ("encoder", "pretrainer", "discriminator"):
        return tasks.restore(described)
    if config.dev:
        raise files.InputError(
            "flags-conflict",
            f"found --dev and a teacher without a task, {config.teacher}; wanted no --dev, or a "
            "model folder that finetune wrote",
        )
    if weight := config.objective.hard_weight:
        raise files.InputError(
            "flags-conflict",
            f"found hard_weight={weight:g} and a teacher without a task, which no labels are for; "
            "wanted hard_weight=0, or a teacher that finetune wrote",
        )
    return tasks.Texts.of(described, config.teacher)


def student_sizes(
    config: Config, teacher: models.EncoderConfig, tokenizer: tokenizers.Tokenizer
) -> models.EncoderConfig:
    """Sizes of the student: of `--init_from`, or the teacher's but for what flags say.

    Args:
        config: of the run.
        teacher: the teacher's sizes.
        tokenizer: the teacher's.

    Raises:
        InputError: the flags give no sizes, or ones that go neither with the teacher's nor with
            `--init_from`, whose tokenizer must be the teacher's.
    """
    flags = config.student
    given = {name: getattr(flags, name) for name in SIZES if getattr(flags, name)}
    if not given and not flags.init_from:
        wanted = "--num_layers, --hidden_dim or --init_from"
        raise files.InputError("missing-flag", f"found no sizes of the student; wanted {wanted}")
    if flags.init_from:
        sizes = models.describe(flags.init_from)["encoder"]
        if wrong := [name for name, value in given.items() if value != getattr(sizes, name)]:
            raise files.InputError(
                "flags-conflict",
                f"found --{wrong[0]}={given[wrong[0]]} and {getattr(sizes, wrong[0])} in "
                f"{flags.init_from}; wanted --init_from without sizes, which are the model's",
            )
        if tokenizers.load(flags.init_from).fingerprint != tokenizer.fingerprint:
            raise files.InputError(
                "wrong-vocabulary",
                f"found different tokenizers in {flags.init_from} and {config.teacher}; wanted "
                "the same: a student reads the tokens that its teacher reads",
            )
    else:
        wide = teacher.intermediate_dim
        if flags.hidden_dim:
            wide = max(1, wide * flags.hidden_dim // teacher.hidden_dim)
        sizes = dataclasses.replace(teacher, **{"intermediate_dim": wide} | given)
    for name in ("num_layers", "hidden_dim"):
        size, most = getattr(sizes, name), getattr(teacher, name)
        if not 1 <= size <= most:
            raise files.InputError(
                "wrong-sizes",
                f"found a student of {name}={size}; wanted 1 to {most}, which the teacher has",
            )
    return sizes if flags.dropout < 0 else dataclasses.replace(sizes, dropout=flags.dropout)


def make_student(config: Config, kind, sizes: models.EncoderConfig, teacher, precision: str):
    """The student with the weights that it starts from.

    Args:
        config, kind: of the run, and of task.
        sizes: the student's.
        teacher: the model it may start from.
        precision: the Keras dtype policy that it computes in.
    """
    student = kind.make_model(sizes, config.seed, precision, config.hardware.recompute)
    if config.student.init_from:
        if not models.load_encoder(config.student.init_from, student):
            logging.warning("%s has no pooler; it starts at random", config.student.init_from)
    elif tasks.is_cut(sizes, teacher.config):
        tasks.copy_weights(teacher, student)
    else:
        logging.info("the student's sizes are not the teacher's: it starts from random weights")
    return student


def read_input(config: Config, kind):
    """Examples to learn on, with answers where the hard part wants them.

    Args:
        config, kind: of the run, and of task.

    Raises:
        InputError: the file is neither of texts nor of labelled examples.
    """
    if config.objective.hard_weight:
        examples = labelled.read_examples(kind, config.input, config.objective)
    else:
        try:
            examples = labelled.read_examples(kind, config.input, config.objective, labelled=False)
        except files.InputError as without:
            if not kind.scalars:  # there is no labelled file of its kind
                raise
            try:  # columns without names are those of a labelled file
                examples = labelled.read_examples(kind, config.input, config.objective)
            except files.InputError as with_answers:
                both = f"{without}; and with answers: {with_answers}"
                raise files.InputError(with_answers.id, both) from with_answers
    labels = kind.labels_of(examples) if config.objective.hard_weight else ()
    return labelled.sample(examples, 256, labels, config.seed) if config.debug else examples


def train(config: Config, task, data, tokenizer, machine, computation):
    """Trains the student from where the last checkpoint stands.

    Args:
        config: of the run.
        task: a `tasks.Distillation`.
        data: rows that it learns on, and what `read_dev` gives, or None.
        tokenizer: the teacher's.
        machine: where the run takes place.
        computation: precision and compilation, from `Machine.computation`.

    Returns:
        The `training.Run`.
    """
    optimization, kind, (rows, dev) = config.optimization, task.kind, data
    settings = (optimization, computation, config.cadence, config.seed)
    run = training.Run(task, config.output, training.Settings(*settings))
    run.restore()
    evaluate = None
    if dev and config.cadence.evaluate_every and machine.is_chief:

        def evaluate() -> dict[str, float]:
            predictions = predict(config, kind, task.model.student, *dev, tokenizer)
            scores = kind.scores(dev[0], predictions)
            return {name: value for name, value in scores.items() if isinstance(value, float)}

    batch_size = optimization.batch_size
    stage = training.Stage(
        batches=labelled.batches_from(
            rows,
            tokenizer.pad_id,
            batch_size,
            config.seed,
            longest=kind.max_seq_length,
            one_length=config.hardware.strategy == "tpu",
            worker=(machine.worker_index, machine.num_workers),
        ),
        last_step=max(1, round(config.num_epochs * rows.num_examples / batch_size)),
        work=training.Work(round(rows.tokens_an_example * batch_size), batch_size),
        evaluate=evaluate,
    )
    run.train(stage, optimization)
    return run


def size_of(model) -> dict[str, int]:
    """Numbers that say how large a model is; `bytes` are those of its weights."""
    weights = [variable.numpy() for variable in model.variables]
    return {
        "parameters": sum(weight.size for weight in weights),
        "bytes": sum(weight.nbytes for weight in weights),
        **{name: getattr(model.config, name) for name in SIZES},
    }


def read_dev(config: Config, kind, tokenizer) -> tuple:
    """Labelled examples of the dev file to score on, and their rows.

    Args:
        config, kind: of the run, and of task.
        tokenizer: the teacher's.

    Raises:
        InputError: the file is not one of labelled examples.
    """
    examples = labelled.read_examples(kind, config.dev, config.objective)
    examples = labelled.first(examples, 256) if config.debug else examples
    return examples, kind.rows(examples, tokenizer)


def predict(config: Config, kind, model, examples, rows, tokenizer) -> list[dict]:
    """Predictions of a model.

    Args:
        config, kind: of the run, and of task.
        model: teacher or student.
        examples: of the dev file.
        rows: the same as rows of tokens.
        tokenizer: the teacher's.
    """
    size, pad_id = config.optimization.batch_size, tokenizer.pad_id
    return kind.predictions(examples, rows, tasks.predict(kind, model, rows, size, pad_id))


def compare(config: Config, kind, teacher, student, dev, tokenizer) -> dict:
    """Scores of both models on the dev file.

    Args:
        config, kind: of the run, and of task.
        teacher, student: models.
        dev: what `read_dev` gives.
        tokenizer: the teacher's.

    Returns:
        `dev`, the scores of `teacher`, `student` and `baseline`; `conditions`, what these depend
        on, where there are some; and `agreement`, the share of examples that both answer alike,
        where answers are no numbers.
    """
    examples, rows = dev
    answers = {
        name: predict(config, kind, model, examples, rows, tokenizer)
        for name, model in (("teacher", teacher), ("student", student))
    }
    scores = {name: kind.scores(examples, predictions) for name, predictions in answers.items()}
    report = {"dev": scores | {"baseline": kind.baseline(examples, examples)}}
    if conditions := kind.conditions(examples):
        report["conditions"] = conditions
    if answer := kind.agrees_on:
        alike = [a[answer] == b[answer] for a, b in zip(*answers.values(), strict=True)]
        report["agreement"] = sum(alike) / len(alike)
    return report


if __name__ == "__main__":
    program.run(main, Config)
