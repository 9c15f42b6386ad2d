"""Say in words what looks wrong in a training run, why it matters and what to do.

    roots doctor --model_dir=work/pretrained

Takes a second. Reads what `pretrain` wrote to the folder (`plan.json`, `metrics.jsonl`,
`report.json`, names of checkpoints) and the manifest of its examples where that is
still there; also of a run that is under way or was killed. Writes the findings to `doctor.json` in
the same folder, and succeeds whatever it finds.
"""

import dataclasses
import re
import textwrap
from pathlib import Path

import numpy as np

from roots_tf import models, program, tokenizers, training
from roots_tf.diagnosis import diagnosis, findings
from roots_tf.examples import manifest as examples_manifest
from roots_tf.examples import mixture, word_starts
from roots_tf.storage import files, neighbours, schema, sources


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `doctor`."""

    model_dir: str = program.flag(help="output folder of pretrain", role="input")
    debug: bool = program.flag(False, help="the same; it is quick")


def main(config: Config) -> list[dict]:
    """Prints and returns the findings."""
    run = read(config)
    diagnosed = diagnosis.diagnose(run)
    numbers = "  ".join(diagnosis.spell(diagnosis.main_numbers(run)))
    print(f"{config.model_dir}: step {run.step:,} of {run.phases[-1].last_step:,}  {numbers}")
    if [finding.name for finding in diagnosed] == ["healthy"]:
        print("looks healthy")
    for number, finding in enumerate(diagnosed, 1):
        if finding.severity != "healthy":
            print(f"\n{number}. {finding.severity}: {finding.name.replace('_', ' ')}")
            for title in ("found", "why", "action"):
                text = f"{title:<8}{getattr(finding, title)}"
                print(textwrap.fill(text, 96, initial_indent="   ", subsequent_indent=" " * 11))
    listed = [dataclasses.asdict(finding) for finding in diagnosed]
    files.write_json(Path(config.model_dir, "doctor.json"), listed)
    return listed


def read(config: Config) -> findings.RunRecord:
    """What the files of the folder say about its run.

    Raises:
        InputError: pretrain has begun no run there.
    """
    folder = Path(config.model_dir)
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
        rows=training.read_metrics(folder),
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


if __name__ == "__main__":
    program.run(main, Config)
