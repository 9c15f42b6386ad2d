"""What the files of a folder say about the run of `pretrain` in it, as doctor looks at it."""

import re
from pathlib import Path

import numpy as np

from roots_tf import models, tokenizers, training
from roots_tf.diagnosis import findings
from roots_tf.examples import manifest as examples_manifest
from roots_tf.examples import mixture, word_starts
from roots_tf.storage import files, neighbours, schema, sources


def read(folder: str | Path, rows: list[dict] | None = None) -> findings.RunRecord:
    """What the files of the folder say about its run.

    Args:
        folder: that `--output` of pretrain named.
        rows: of its `metrics.jsonl`, where they are read already.

    Raises:
        InputError: pretrain has begun no run there.
    """
    folder = Path(folder)
    path, report = folder / "plan.json", folder / "report.json"
    if not path.exists() or not (plan := schema.read_object(path)).get("phases"):
        raise files.InputError(
            "wrong-folder",
            f"found no {path} with the phases of a run; wanted the output folder of pretrain: give "
            f"the folder that its --output named{neighbours.instead(folder, path.name)}",
        )
    schema.read(path, training.Phases, others_may_stand=True)
    if report.exists():
        schema.read(report, training.Report, others_may_stand=True)
    steps = [
        int(match[1])
        for path in (folder / "checkpoints").glob("*.index")
        if (match := re.search(r"-(\d+)$", path.stem))
    ]
    return findings.RunRecord(
        phases=phases(plan),
        rows=training.read_metrics(folder) if rows is None else rows,
        report=files.read_json(report) if report.exists() else None,
        checkpoint_step=max(steps, default=None),
    )


def phases(plan: dict) -> list[findings.PhaseRecord]:
    """The phases of a run, each with the flags that hold in it."""
    records, first_step = [], 0
    mixtures = plan.get("mixtures") or [{}] * len(plan["phases"])  # versions before had none
    for settings, last_step, mixed in zip(
        plan["phases"], plan["last_steps"], mixtures, strict=True
    ):
        manifest = manifest_of(settings, bool(mixed))
        width, pre_norm = model_of(settings)
        records.append(
            findings.PhaseRecord(settings, manifest, first_step, last_step, width, pre_norm, mixed)
        )
        first_step = last_step
    return records


def manifest_of(settings: dict, mixed: bool) -> dict | None:
    """The manifest of a phase's examples; None where they are gone.

    Args:
        settings: the flags of the phase.
        mixed: whether its examples are a mixture, whose manifests become one.
    """
    named = sources.split(settings["examples"]) if mixed else {}
    folders = named.values() if named else [settings["examples"]]
    if not all(Path(folder, "manifest.json").exists() for folder in folders):
        return None
    manifest = mixture.load(settings["examples"])
    if "words" not in manifest and settings.get("masking", "token") != "token":
        manifest |= {"unspaced_percent": max(unspaced_percent(Path(folder)) for folder in folders)}
    return manifest


def unspaced_percent(folder: Path) -> float:
    """Tokens of scripts without spaces in examples whose manifest does not count them, in per cent.

    Args:
        folder: of the examples; what is not there any more counts as none.
    """
    counts = folder / examples_manifest.UNIGRAM_COUNTS
    if not counts.exists() or not (folder / examples_manifest.TOKENIZER).exists():
        return 0.0
    tokenizer = tokenizers.load(folder / examples_manifest.TOKENIZER)
    return word_starts.unspaced_percent(tokenizer, np.load(counts))


def model_of(settings: dict) -> tuple[int, bool]:
    """Hidden size of the model that flags ask for, 0 if not known, and whether it is pre-norm.

    Args:
        settings: the flags of a run.
    """
    parts = models.PRESETS.get(settings.get("preset"), {})
    pre_norm = parts.get("norm") == "pre"
    if folder := settings.get("init_from"):
        if not Path(folder, "model.json").exists():
            return 0, pre_norm
        sizes = models.describe(folder)["encoder"]
        return sizes.hidden_dim, sizes.norm == "pre"
    if settings.get("size") == "custom":
        return settings.get("hidden_dim", 0), pre_norm
    return models.SIZES.get(settings.get("size"), (0, 0))[1], pre_norm
