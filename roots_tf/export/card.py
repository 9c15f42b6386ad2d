"""The model card of an export: `README.md` with the head that model cards of Hugging Face have.

What a card should say is from Mitchell et al. 2019, "Model Cards for Model Reporting"
(arXiv:1810.03993), section 4. What only a person knows is left to be filled in, and says so.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from roots_tf import models, tasks
from roots_tf.export import card_head, operations, requests
from roots_tf.storage import files, schema, sources
from roots_tf.storage.files import InputError

_PLACES = ("train", "dev", "test", "examples", "init_from")  # flags that name files
_OF_RUNS = ("model", "adapter")  # folders that a run writes
_TO_FILL = "**To be filled in by a person:**"
# By the name of a model without a task: pipeline_tag of huggingface.co/tasks, and what it does.
_WITHOUT_A_TASK = {
    "pretrainer": ("fill-mask", "turns texts into vectors and guesses masked words"),
    "discriminator": ("feature-extraction", "turns texts into vectors and finds odd words"),
    "encoder": ("feature-extraction", "turns texts into vectors"),
    "causal_lm": ("text-generation", "continues texts"),
    "masked_and_causal_lm": ("text-generation", "continues texts and guesses masked words"),
}


def write(
    folder: str | Path,
    source: str | Path,
    command: str,
    settings: models.EmbeddingSettings | None = None,
    about: card_head.About = card_head.UNKNOWN,
) -> Path:
    """Writes `README.md` into the folder of an export.

    Args:
        folder: of the export; of a SavedModel, that of the version. Where it holds a SavedModel the
            card lists inputs and outputs by signature, and the servers that have its ops.
        source: model folder that was exported. `report.json` and `config.json` of the run that
            trained it stand beside it where pretrain or finetune wrote it.
        command: what wrote the export.
        settings: of vectors; None: as the model folder says.
        about: what the head says beside.

    Returns:
        Path of the card.

    Raises:
        InputError: `source` is no model folder.
    """
    described, trained = models.describe(source), _run(source)
    settings = settings or tasks.embedding_settings(described, str(source))
    lines = _opening(described, trained, _title(source), about)
    lines += _intended_use(described, tasks.kind_of(described), settings)
    if Path(folder, "saved_model.pb").exists():
        lines += _signatures(folder)
    lines += _sizes(described) + _training(trained) + _ending(command, about.license)
    return _written(folder, lines)


def write_of_adapter(
    folder: str | Path,
    adapter: models.Adapter,
    command: str,
    about: card_head.About = card_head.UNKNOWN,
) -> Path:
    """Writes `README.md` into the folder of an adapter alone; `folder` to `about` as for `write`.

    Args:
        folder: of the export.
        adapter: that was exported; its run's files may stand beside its folder.
        command: what wrote the export.
        about: what the head says beside.

    Returns:
        Path of the card.

    Raises:
        InputError: a file of the run is damaged.
    """
    trained = _run(adapter.folder)
    lines = _opening(adapter.described, trained, _title(adapter.folder), about, adapter.tuning.name)
    return _written(folder, lines + _training(trained) + _ending(command, about.license))


def _opening(
    described: dict,
    run: tuple[dict, dict],
    title: str,
    about: card_head.About,
    tuning: str = "",
) -> list[str]:
    """The head, and what the model does.

    Args:
        described: what is known of the model.
        run: that trained it.
        title: what it is called.
        about: what the head says beside.
        tuning: how little of it was trained, of an adapter.
    """
    config, report = run
    kind = tasks.kind_of(described)
    name = kind.name if kind else described["kind"]
    without_a_task = _WITHOUT_A_TASK.get(name, _WITHOUT_A_TASK["encoder"])
    pipeline_tag, use = (kind.pipeline_tag, kind.use) if kind else without_a_task
    count = f"{len(described['labels'])} labels" if described["labels"] else "several labels"
    is_bert = not models.is_causal(described) and "decoder" not in described
    of_library = [about.library] * (about.library == "tensorflow")
    tags = [*(["bert"] * is_bert), *of_library, name.replace("_", "-"), *filter(None, [tuning])]
    scores = card_head.scores(report, _scored(report)) if "seeds" in report else {}
    data = config.get("test" if any(n.startswith("test_") for n in scores) else "dev", "")
    said = {"base": card_head.base(described, config), "title": title, "scores": scores}
    head = card_head.keys(about, pipeline_tag, tags, **said, data=data)
    what = f"An adapter ({tuning}), with which a model" if tuning else "This model"
    return [*card_head.lines(head), f"# {title}", "", f"{what} {use.format(labels=count)}.", ""]


def write_of_adapters(
    folder: str | Path, base: str | Path, adapters: Mapping[str, models.Adapter], command: str
) -> Path:
    """Writes `README.md` into the folder of a SavedModel of adapters over one base.

    Args:
        folder: of the version.
        base: model folder that the adapters were learned on.
        adapters: by name.
        command: as for `write`.

    Returns:
        Path of the card.

    Raises:
        InputError: `base` is no model folder.
    """
    described, title = models.describe(base), _title(base)
    head = {"library_name": "tensorflow", "base_model": card_head.base(described, {})}
    lines = [*card_head.lines(head), f"# {title}, adapted", ""]
    lines += [f"Adapters over one base, {title}, each asked by the signature of its name.", ""]
    lines += ["| signature | task | learned by | labels |", "| --- | --- | --- | --- |"]
    for name, adapter in adapters.items():
        kind, labels = tasks.kind_of(adapter.described), adapter.described["labels"]
        task = kind.name if kind else adapter.described["kind"]
        shown = ", ".join(f"`{label}`" for label in labels) or "-"
        lines.append(f"| `{name}` | {task} | {adapter.tuning.name} | {shown} |")
    lines += ["", f"{_TO_FILL} language, training data, and uses that they are not fit for.", ""]
    return _written(folder, lines + _signatures(folder) + _sizes(described) + _ending(command))


def _title(source: str | Path) -> str:
    """What a model is called: its folder, or that of the run that wrote it."""
    title = Path(source).resolve()
    return (title.parent if title.name in _OF_RUNS else title).name


def _ending(command: str, known: str = "") -> list[str]:
    """How a model was written, and its licence, where that is known."""
    how = ["## How it was written", "", "```", command, "```", "", f"TensorFlow {tf.__version__}."]
    licence = known or f"{_TO_FILL} the licence, here and in the head of this file."
    return [*how, "", "## Licence", "", licence, ""]


def _written(folder: str | Path, lines: list[str]) -> Path:
    path = Path(folder, "README.md")
    files.write_text(path, "\n".join(lines))
    return path


def _run(source: str | Path) -> tuple[dict, dict]:
    """Config and report of the run that trained a model; empty without one."""
    folder = Path(source).resolve()
    paths = [folder.with_name(name) for name in ("config.json", "report.json")]
    # Files of that name stand beside many a folder; only of a run is the model called so.
    if folder.name not in _OF_RUNS or not all(path.exists() for path in paths):
        return {}, {}
    config, report = map(schema.read_object, paths)
    places = {key: config[key] for key in _PLACES if key in config}
    schema.check(places, dict[str, str], str(paths[0]))
    if "seeds" in report:
        schema.check(report["seeds"], list[object], f"seeds of {paths[1]}")
        for key in _scored(report):
            split, _, score = key.partition("_")
            names = ("median", "bounds", "trivial")
            keys = (key, f"{key}_range", f"{split}_baseline_{score}")
            found = {n: report[k] for n, k in zip(names, keys, strict=True) if k in report}
            schema.check(found, _Score, f"{key} of {paths[1]}")
    return config, report


@dataclasses.dataclass(frozen=True)
class _Score:
    """What a report of `finetune` says of one score over the seeds; null of what is no number."""

    median: float | None
    bounds: tuple[float | None, ...]
    trivial: float | None

    def __post_init__(self):
        if len(self.bounds) != 2:
            raise InputError(
                "wrong-json", f"found {len(self.bounds)} bounds; wanted the lowest and the highest"
            )


def _scored(report: dict) -> list[str]:
    """Names of the scores over seeds."""
    return [key for key in report if f"{key}_range" in report]


def _intended_use(described: dict, kind, settings: models.EmbeddingSettings) -> list[str]:
    """What goes in, and what has to be known before use."""
    positions = described["encoder"].max_sequence_length
    longest = kind.max_seq_length if kind else settings.length(positions)
    in_windows = kind is not None and kind.in_windows
    rest = "longer texts are read in parts" if in_windows else "what is longer is cut off"
    lines = ["## Intended use", ""]
    lines += [f"Texts like those it learned from, of up to {longest} tokens; {rest}."]
    if kind is None and models.is_causal(described):
        lines = ["## Intended use", "", f"Texts like those it learned from; it reads {positions}"]
        lines[-1] += " tokens, those that it writes among them, and refuses what is longer."
    elif kind is None:
        lines += ["", f"How a text becomes a vector: {settings}."]
    if described["labels"]:
        lines += ["", f"Labels: {', '.join(f'`{label}`' for label in described['labels'])}."]
    return [*lines, "", f"{_TO_FILL} language, and uses that it is not fit for.", ""]


def _signatures(saved_model: str | Path) -> list[str]:
    """Inputs and outputs of a SavedModel, and who can load it."""
    lines = ["## Inputs and outputs", ""]
    for name, signature in requests.signatures(saved_model).items():
        lines += [f"`{name}`", "", "| | name | type | shape |", "| --- | --- | --- | --- |"]
        for side in ("inputs", "outputs"):
            tensors = getattr(signature, side)
            for key in sorted(tensors):
                dtype = tf.as_dtype(tensors[key].dtype).name
                dims = tf.TensorShape(tensors[key].tensor_shape)
                shape = "any" if dims.rank is None else [d or "any" for d in dims.as_list()]
                shape = shape if shape == "any" else ", ".join(map(str, shape)) or "a number"
                lines.append(f"| {side.removesuffix('s')} | `{key}` | {dtype} | {shape} |")
        lines.append("")
    names = operations.custom(saved_model)
    if names:
        needed = ", ".join(f"`{name}`" for name in names)
        lines += [f"Loading it needs `import tensorflow_text`, for the ops {needed}."]
    if release := operations.first_serving_version(names):
        lines += [f"TensorFlow Serving has them from release {release} on."]
    return [*lines, ""] if names else lines


def _sizes(described: dict) -> list[str]:
    """The encoder."""
    encoder = described["encoder"]
    rows = {
        "layers": encoder.num_layers,
        **({"decoder layers": described["decoder"].num_layers} if "decoder" in described else {}),
        "hidden size": encoder.hidden_dim,
        "attention heads": encoder.num_heads,
        "feed-forward size": encoder.intermediate_dim,
        "vocabulary": encoder.vocabulary_size,
        "positions": f"{encoder.max_sequence_length}, {encoder.positions}",
        "norm, feed-forward": f"{encoder.norm}, {encoder.feed_forward} of {encoder.activation}",
    }
    return ["## Sizes", "", "| | |", "| --- | --- |", *_rows(rows), ""]


def _training(run: tuple[dict, dict]) -> list[str]:
    """Data and scores, where the files of a run say so."""
    config, report = run
    lines = ["## Training data", ""]
    settings = (
        *("num_epochs", "duration", "batch_size", "learning_rate", "max_seq_length"),
        *("masking", "sentence_objective"),
    )
    # Names of files only: folders say more of a machine than of a model.
    rows = {key: _names(config[key]) for key in _PLACES if config.get(key)}
    rows |= {key: config[key] for key in settings if config.get(key)}
    if rows:
        lines += ["| | |", "| --- | --- |", *_rows(rows), ""]
    lines += [f"{_TO_FILL} where the texts are from, and what they leave out.", "", "## Scores", ""]
    if "seeds" in report:
        runs = len(report["seeds"])
        lines += [f"Median of {runs} runs, and what a trivial answer scores.", ""]
        lines += ["| | score | lowest | highest | trivial |", "| --- | --- | --- | --- | --- |"]
        for key in _scored(report):
            split, _, score = key.partition("_")
            lowest, highest = report[f"{key}_range"]
            values = (report[key], lowest, highest, report[f"{split}_baseline_{score}"])
            numbers = " | ".join("-" if value is None else f"{value:.4f}" for value in values)
            lines.append(f"| {split} {score.replace('_', ' ')} | {numbers} |")
    elif report:
        numbers = {key: value for key, value in report.items() if isinstance(value, int | float)}
        shown = {k.replace("_", " "): f"{v:.6g}" for k, v in numbers.items()}
        lines += ["On texts held out of pretraining.", "", "| | |", "| --- | --- |", *_rows(shown)]
    else:
        lines += [f"{_TO_FILL} no report of a run stands beside the model."]
    return [*lines, ""]


def _names(place: str) -> str:
    """The name of what a flag names; of the sources of a mixture each with its own."""
    try:
        named = sources.split(place)
    except files.InputError:
        named = {}
    shown = [f"{name}={Path(path).name}" for name, path in named.items()] or [Path(place).name]
    return ", ".join(f"`{name}`" for name in shown)


def _rows(cells: dict) -> list[str]:
    """Rows of a table of two columns."""
    return [f"| {name.replace('_', ' ')} | {value} |" for name, value in cells.items()]
