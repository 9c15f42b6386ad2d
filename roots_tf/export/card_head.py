"""The head of a model card: what hubs and programs read of it, between two lines of `---`.

Its keys are those of huggingface.co/docs/hub/model-cards#model-card-metadata; what is not known is
left out, since the hub refuses `null` there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from roots_tf.storage import checksums, claims, schema

# Names of the hub's metrics, where ours are others.
_METRICS = {"f1_macro": "f1", "f1_micro": "f1", "pearson": "pearsonr", "spearman": "spearmanr"}


class About(NamedTuple):
    """What the card of an export says that the model folder does not.

    Attributes:
        library: that loads the export, by its name on the hub.
        license: of the model; "": not known.
        language: codes of languages.
        datasets: names of data on the hub.
    """

    library: str = "tensorflow"
    license: str = ""
    language: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


UNKNOWN = About()


def lines(keys: Mapping[str, object]) -> list[str]:
    """The head as lines of YAML, of which JSON is a part.

    >>> lines({"license": "mit", "tags": ["bert"], "datasets": ()})
    ['---', 'license: "mit"', 'tags: ["bert"]', '---', '']

    Args:
        keys: in order; those whose value is empty are left out.
    """
    said = {key: value for key, value in keys.items() if value}
    # YAML joins no halves of a surrogate pair, as JSON has characters beyond 65,535.
    texts = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in said.items())
    return ["---", *texts, "---", ""]


def keys(
    about: About,
    pipeline_tag: str,
    tags: list[str],
    *,
    base: str,
    title: str,
    scores: Mapping[str, float],
    data: str,
) -> dict[str, object]:
    """The keys of the head.

    Args:
        about: what is said of the export.
        pipeline_tag: of huggingface.co/tasks.
        tags: what else it is found by.
        base: name on the hub of the model that it was made from; "" is not known.
        title: what the model is called.
        scores: by the names that a report has, such as `"test_f1_macro"`.
        data: file that it was scored on.
    """
    found = {
        "license": about.license,
        "language": list(about.language),
        "library_name": about.library,
        "pipeline_tag": pipeline_tag,
        "base_model": base,
        "datasets": list(about.datasets),
        "tags": tags,
    }
    if not scores:
        return found
    metrics, types = [], []
    for name, value in scores.items():
        split, _, metric = name.partition("_")
        types.append(_METRICS.get(metric, metric))
        metrics.append({"type": types[-1], "value": value, "name": f"{split} {metric}"})
    dataset = about.datasets[0] if about.datasets else Path(data).name or "held out"
    result = {
        "task": {"type": pipeline_tag},
        "dataset": {"name": dataset, "type": dataset},
        "metrics": metrics,
    }
    found["metrics"] = list(dict.fromkeys(types))
    return found | {"model-index": [{"name": title, "results": [result]}]}


def scores(report: Mapping[str, object], scored: list[str]) -> dict[str, float]:
    """The scores of a report that its card's head has: of the test file, else of the dev file.

    Args:
        report: of a run.
        scored: names of its scores over seeds.
    """
    known = {name: report[name] for name in scored if isinstance(report[name], int | float)}
    of_test = {name: value for name, value in known.items() if name.startswith("test_")}
    return of_test or {name: value for name, value in known.items() if name.startswith("dev_")}


def base(described: Mapping[str, object], config: Mapping[str, object]) -> str:
    """Name on the hub of the model that one was imported from, or that its training began with.

    Args:
        described: what `model.json` says.
        config: of the run that trained it; empty without one. A folder that it names counts where
            it holds what it held then.
    """
    source, inputs = described.get("source"), config.get("inputs")
    for flag in ("init_from", "teacher"):
        folder = config.get(flag)
        if source or not folder or not isinstance(inputs, dict):
            continue
        path = Path(str(folder), checksums.MODEL)
        if path.is_file() and inputs.get(flag) == claims.content(str(folder)) != "":
            source = schema.read_object(path).get("source")
    is_there = isinstance(source, dict) and source.get("hub") == "huggingface"
    return str(source.get("name", "")) if is_there else ""
