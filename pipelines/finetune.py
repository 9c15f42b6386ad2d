"""Fine-tune a pretrained model on a task, over several seeds.

    roots finetune --task=classification --init_from=work/pretrained/model \
        --train=train.tsv --dev=dev.tsv --output=work/task

Tasks and what their files hold:

    classification      TSV, CSV, JSON lines, Parquet: text, label; pairs also have text_pair.
                        Or a file or a folder a label: --train=a.pos,a.neg, --train=aclImdb/train
    regression          the same with value instead of label
    similarity          text, text_pair, value: the cosine of two embeddings is trained
    contrastive         text, positive, and perhaps negative, negative_0, negative_1, ...: the
                        embedding of a text comes near its positive's and away from all others of
                        the batch. Without positives, as in a text a line (.txt), a text is its own
                        with another dropout mask. Of text, text_pair and label, of inference, what
                        is entailed is the positive. The dev file: text, text_pair, value; or text,
                        positive
    multiple_choice     text, choices (or choice_0, choice_1, ...), label: index of the right one
    tagging             CoNLL: a word and its IOB2 tag a line, an empty line between sentences
    question_answering  SQuAD JSON, version 1.1 or 2
    completion          JSON lines: prompt, answer; or messages, a list of role and content. Of a
                        causal language model, which stays one: `roots generate` asks it
    cloze               as classification; a masked language model fills in words of the labels,
                        --template="{text} It was [MASK]." --verbalizer="good=great,bad=terrible",
                        and answers without --train too; a causal one says how likely they are,
                        behind --num_shots examples of --train
    sequence_to_sequence  two text files, --train=train.en,train.de; or TSV, CSV, JSON lines,
                        Parquet: source, target. Of an encoder-decoder, of an encoder that gets a
                        decoder, or, with --tokenizer and sizes, of random weights

Takes minutes to hours. A run that was stopped goes on, run again, from its last checkpoint, in the
middle of a seed, with the same files and weights, wherever they stand now. Prints a table of scores
(median over the seeds, lowest, highest, and what a trivial answer scores) and writes report.json
and, of the seed that is best on the dev file, a model folder `model/` and `dev_predictions.jsonl`,
with `--test` also `test_predictions.jsonl`; of every seed `seed_N/` with its scores, metrics.jsonl
and logs/; and report.html, which shows all of this. `--random_init` trains the same model from
random weights: what pretraining is worth. `--tune=lora`, `bias`, `prompt`, `prefix` and `adapter`
train little of a model, in less memory; `adapter/` then holds what was trained, which `roots merge`
joins with the model that it started from.
"""

import dataclasses
import shutil
from pathlib import Path

from absl import logging

from roots_tf import models, program, reports, tasks, training
from roots_tf.labelled.batching import Batching
from roots_tf.metrics import over_seeds, plots
from roots_tf.models.tuning import TUNINGS, Tuning
from roots_tf.storage import checked_json, claims, files, inputs
from roots_tf.tasks.contrast_flags import ContrastFlags
from roots_tf.tasks.data import Data, check_learns, learns, read
from roots_tf.tasks.start import ModelFlags, Start, load, start_of
from roots_tf.tasks.target_flags import TargetFlags
from roots_tf.tasks.task_flags import TaskFlags
from roots_tf.training.settings import Cadence, Hardware, Optimization


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `finetune`. The defaults are in the ranges of BERT's appendix A.3."""

    dev: str = program.flag(
        help="labelled file that picks the best epoch and the best seed", role="input"
    )
    output: str = program.flag(help="folder of the run", role="output_folder")
    train: str = program.flag(
        "", help="labelled file to learn from; none: cloze answers without learning", role="input"
    )
    test: str = program.flag(
        "", help="labelled file for a last score; none: dev scores only", role="input"
    )
    num_epochs: float = program.flag(3.0, help="times over the training file", above=0, maximum=1e6)
    patience: int = program.flag(
        0,
        help="stop after so many evaluations without a better dev score, and keep the best; 0: "
        "never. Evaluations are once an epoch, or as --evaluate_every says",
        minimum=0,
        maximum=1_000_000,
    )
    seeds: int = program.flag(3, help="runs, of seeds 0, 1, ...", minimum=1, maximum=1000)
    debug: bool = program.flag(
        False, help="256 examples, of every label and drawn from all of a file; one epoch, one seed"
    )
    model: ModelFlags = program.group(ModelFlags(), "model")
    objective: TaskFlags = program.group(TaskFlags(), "objective")
    targets: TargetFlags = program.group(TargetFlags(), "sequence_to_sequence")
    contrast: ContrastFlags = program.group(ContrastFlags(), "contrastive")
    optimization: Optimization = program.group(Optimization(learning_rate=5e-5), "optimization")
    tune: Tuning = program.choice(
        TUNINGS,
        "all",
        help="what of the model is trained: all; lora: low-rank updates of its matrices; bias: its "
        "biases; prompt: vectors before texts; prefix: keys and values in every layer; adapter: "
        "narrow layers and norms; and the head of the task in every way",
        title="tuning",
    )
    layer_decay: float = program.flag(
        1.0,
        help="learning rate of a block over that of the next one up (ELECTRA: 0.8 to 0.9)",
        group="optimization",
        above=0,
        maximum=1,
    )
    hardware: Hardware = program.group(Hardware(), "hardware")
    cadence: Cadence = program.group(Cadence(evaluate_every=0), "cadence")


@program.takes_urls
def main(config: Config) -> dict:
    """Trains once a seed and returns the report."""
    config = program.replace(config, num_epochs=1.0, seeds=1) if config.debug else config
    program.check(config)
    training.check_trackers(config.cadence.report_to)
    training.keep_freed_memory()
    output = Path(config.output)
    folder, described = config.model.init_from, {}
    if folder:
        described = models.describe(folder)  # a mistake is told before TensorFlow is loaded
    files_of_template = () if config.objective.template_is_text else ("template",)
    inputs.check(config, "train", "dev", "test", "init_decoder", "tokenizer", *files_of_template)
    check_learns(config)
    kind = tasks.class_of(config.objective.task, described.get("kind", ""))
    longest = max(config.objective.max_seq_length, config.targets.max_target_length * kind.decodes)
    start = start_of(config.model, kind, longest, config.tune)
    tasks.check_stack(kind, start.encoder.causal, folder)
    if not (config.train or kind.answers_untrained):
        raise files.InputError(
            "missing-flag", "found no --train; wanted one, a labelled file to learn from"
        )
    claim = claim_of(config)
    if report := claim.finished(output):
        logging.info("%s has finished; nothing to do", output)
        return report
    is_chief = config.hardware.is_chief
    with claim.held(output, is_chief), reports.written(output, is_chief):
        return train_seeds(config, start, claim)


def claim_of(config: Config) -> claims.Claim:
    """What makes the run this one: with early stopping also when it is evaluated."""
    decides = {"evaluate_every": config.cadence.evaluate_every} if config.patience else {}
    if config.objective.template_is_text:
        decides["template"] = config.objective.template
    return claims.of(config, **decides, **config.optimization.decided_by(config.cadence))


def train_seeds(config: Config, start: Start, claim: claims.Claim) -> dict:
    """Trains once a seed, from where the last run stopped, and returns the report.

    Args:
        config: of the run.
        start: what the model starts from.
        claim: of the run.
    """
    output = Path(config.output)
    machine = training.Machine.of(config.hardware)
    models.check_frozen(config.model.frozen_layers, start.encoder.num_layers)
    data = read(config, start)
    if not learns(config):
        return answer_untrained(config, data, claim, machine)
    count, replicas = data.rows["train"].num_examples, machine.strategy.num_replicas_in_sync
    fitted = config.optimization.fitted(count, replicas, config.train)
    config = dataclasses.replace(config, optimization=fitted)
    how = batching(config, 0, machine)
    data.kind.check_batches(data.rows["train"], how)
    if fitted.average_checkpoints > 1 and not config.debug:
        batches = data.kind.batches(data.rows["train"], start.pad_id, how)
        fitted.check_average(config.cadence, last_step(config, batches))
    computation = machine.computation(output, config.hardware, measure=False)
    machine.check(tasks.to_train(data.kind, None), computation, config.optimization)
    scores = {n: over_seeds.read(output, n, data.baselines) for n in range(config.seeds)}
    with machine.strategy.scope():
        for seed in scores:
            if scores[seed] is None:  # else it had finished before a stop
                recompute = config.hardware.recompute
                model = start.make_model(data.kind, seed, computation.precision, recompute)
                load(config.model, start, model)
                data = calibrated(config, data, model)
                machine.claim(output, claim, computation, batch_size=fitted.batch_size)
                scores[seed] = train_seed(config, data, model, seed, machine, computation, scores)
            if machine.is_chief:  # nothing goes on from them any more
                shutil.rmtree(output / f"seed_{seed}" / "checkpoints", ignore_errors=True)
    return reported(output, data, scores) if machine.is_chief else {}


def answer_untrained(config: Config, data: Data, claim: claims.Claim, machine) -> dict:
    """Scores the model as it is, writes what a training would, and returns the report.

    Examples in the prompt are drawn once a seed; without any, every seed would give the same.

    Args:
        config: of the run.
        data: what it is scored on.
        claim: of the run.
        machine: where the run takes place.
    """
    output, batch_size = Path(config.output), config.optimization.batch_size
    model = data.start.make_model(data.kind, seed=0)
    load(config.model, data.start, model)
    shots = config.objective.num_shots
    computation = machine.computation(output, config.hardware, measure=False)
    scores, best = {}, None
    for seed in range(config.seeds if shots else 1):
        drawn = data.with_demonstrations(shots, seed) if shots else data
        drawn = calibrated(config, drawn, model)
        machine.claim(output, claim, computation, batch_size=batch_size)
        predictions, scores[seed] = drawn.scored(model, batch_size, seed)
        score = scores[seed]["dev"][data.kind.score]
        if best is None or score > best[0]:  # of equal ones the first
            best = score, drawn, predictions
    if not machine.is_chief:
        return {}
    _, drawn, predictions = best
    drawn.save(output, model, predictions)
    return reported(output, data, scores)


def calibrated(config: Config, data: Data, model) -> Data:
    """The `data` as the `config` asks for it, of a `model` with the weights that it starts from."""
    if not config.objective.calibrate:
        return data
    return dataclasses.replace(data, kind=data.kind.with_priors(model, data.start.tokenizer))


def reported(output: Path, data: Data, scores: dict[int, dict]) -> dict:
    """Prints the table of a run, and writes and returns its report.

    Args:
        output: folder of the run.
        data: what it was scored on.
        scores: by seed.
    """
    runs = list(scores.values())
    score = data.kind.score
    best = max(scores, key=lambda seed: (scores[seed]["dev"][score], -seed))
    report = {"task": data.kind.name, "score": score, "best_seed": best}
    report |= {"labels": list(data.kind.labels), "seeds": runs}
    report |= over_seeds.summarise(runs, data.baselines) | {"conditions": data.conditions}
    print(over_seeds.table(report, sorted(data.baselines)))
    files.write_json(output / "report.json", report)
    return report


def last_step(config: Config, batches) -> int:
    """Steps of a seed by the `config`, of such `batches`."""
    return max(1, round(config.num_epochs * batches.an_epoch))


def train_seed(
    config: Config, data: Data, model, seed: int, machine, computation, others: dict
) -> dict:
    """Trains and scores one seed, and keeps its model if it is the best.

    Args:
        config: of the run.
        data: what it learns from and is scored on.
        model: with the weights that it starts from.
        seed: of order and dropout.
        machine: where the run takes place.
        computation: precision and compilation, from `Machine.computation`.
        others: scores of the seeds that have finished, by seed.

    Returns:
        Its scores, as `scores.json` holds them; nothing on workers that are not the chief.
    """
    kind, output = data.kind, Path(config.output)
    run = train(config, data, model, seed, machine, computation)
    if not machine.is_chief:
        return {}
    scored = data.start.whole(kind, seed, model)  # what is saved is read in float32
    predictions, scores = data.scored(scored, config.optimization.batch_size, seed)
    draw(kind, data.examples["dev"], predictions["dev"], run)
    score = scores["dev"][kind.score]
    logging.info("seed %d: dev %s %.4f", seed, kind.score, score)
    # Of equal seeds the first is kept. Later ones have scores if those of this one were damaged.
    places = [(other["dev"][kind.score], -n) for n, other in others.items() if other]
    if all((score, -seed) > place for place in places):
        data.save(output, scored, predictions)
        if config.tune.keeps:
            trained = config.tune.name, dataclasses.asdict(config.tune), config.tune.learned(model)
            base = config.model.init_from
            said = files.read_json(output / "model" / "model.json")
            models.save_adapter(output / "adapter", *trained, base=base, description=said)
    path = output / f"seed_{seed}" / "scores.json"
    checked_json.write_checked(path, scores)
    run.report(scores)
    return checked_json.read_checked(path)


def train(config: Config, data: Data, model, seed: int, machine, computation):
    """Trains one seed, from its last checkpoint on; arguments as for `train_seed`.

    Returns:
        The `training.Run`; the model has the weights that are to be scored and saved.
    """
    kind, optimization = data.kind, config.optimization
    batch_size, pad_id = optimization.batch_size, data.start.pad_id
    batches = kind.batches(data.rows["train"], pad_id, batching(config, seed, machine))
    every = config.cadence.evaluate_every or max(1, round(batches.an_epoch))
    cadence = dataclasses.replace(config.cadence, evaluate_every=every)
    run = training.Run(
        tasks.to_train(kind, model),
        Path(config.output, f"seed_{seed}"),
        training.Settings(optimization, computation, cadence, seed),
        models.rate_multipliers(model, config.layer_decay, config.model.frozen_layers, config.tune),
        config.patience,
    )
    run.restore()

    predictor, texts = tasks.Predictor(kind.on_the_way, model), {}

    def evaluate() -> dict[str, float]:
        dev = data.examples["dev"], data.rows["dev"]
        scores, shown = kind.on_the_way.judged(predictor, *dev, batch_size, pad_id)
        texts.update(shown)
        if run.early_stopping is not None:
            # Every worker computes the score, and the chief's decides for all.
            score = training.chiefs(machine.strategy, kind.rank(scores))
            run.early_stopping.update(score)
        return {name: value for name, value in scores.items() if isinstance(value, float)}

    is_asked = config.cadence.evaluate_every or config.patience
    stage = training.Stage(
        batches=batches.start,
        last_step=last_step(config, batches),
        work=training.Work(round(batches.tokens), round(batches.examples)),
        evaluate=evaluate if is_asked and (machine.is_chief or config.patience) else None,
        texts=(lambda: texts) if kind.decodes else None,
        is_over=lambda: run.early_stopping is not None and run.early_stopping.is_over,
    )
    run.train(stage, optimization)
    run.finish()
    return run


def batching(config: Config, seed: int, machine) -> Batching:
    """How batches for training are made.

    Args:
        config: of the run.
        seed: of the order.
        machine: where the run takes place.
    """
    optimization, replicas = config.optimization, machine.strategy.num_replicas_in_sync
    return Batching(
        optimization.batch_size,
        seed,
        tokens=config.targets.tokens_per_batch,
        one_length=config.hardware.strategy == "tpu",
        parts=replicas * optimization.accumulate_steps,
        worker=(machine.worker_index, machine.num_workers),
    )


def draw(kind, examples, predictions: list[dict], run) -> None:
    """Confusion matrix and curves of precision and recall for TensorBoard, where there are some.

    Args:
        kind: of task.
        examples: of the dev file.
        predictions: for them.
        run: a `training.Run`, at whose last step they stand.
    """
    if (charts := kind.charts(examples, predictions)) is None:
        return
    step, summaries = int(run.step.numpy()), run.summaries
    table = plots.confusion_markdown(charts.confusion, kind.labels)
    summaries.write_image("dev", step, "confusion", plots.confusion_image(charts.confusion))
    summaries.write_texts("dev", step, {"confusion": table})
    summaries.write_pr_curves("dev", step, charts.curves)


if __name__ == "__main__":
    program.run(main, Config)
