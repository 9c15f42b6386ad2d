"""What the folder of a run holds, whichever of `pretrain`, `finetune` and `distill` wrote it."""

import dataclasses
import functools
import re
from pathlib import Path

from roots_tf import training
from roots_tf.storage import files, neighbours, schema

PROGRAMS = ("pretrain", "finetune", "distill")
_OWN = ("roots_tf", "program", "inputs", "changes")  # keys of config.json beside the flags


@dataclasses.dataclass(frozen=True)
class _Seed:
    """What `report.json` of `finetune` says of a seed: scores by name, and those of classes."""

    seed: int
    dev: dict[str, object]
    test: dict[str, object] | None = None
    degenerate: bool = False


@dataclasses.dataclass(frozen=True)
class _FineTuned:
    """What is read of the `report.json` of `finetune`; medians and ranges stand beside it."""

    seeds: tuple[_Seed, ...]
    task: str = ""
    score: str = ""  # the first of the scores, in versions that did not write it
    best_seed: int = -1
    conditions: dict[str, dict[str, object]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Distilled:
    """What is read of the `report.json` of `distill`."""

    teacher: dict[str, object]
    student: dict[str, object]
    task: str | None = None
    dev: dict[str, dict[str, object]] = dataclasses.field(default_factory=dict)
    agreement: float | None = None


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A run, also one that is under way or was killed.

    Attributes:
        path: of the folder.
        program: one of `PROGRAMS`.
        flags: by name, as they stand in config.json.
        version: of roots-tf that began it; "" where nothing tells.
        inputs: by flag, digits that stand for the content of its files.
        plan: what plan.json holds; {} where there is none.
        report: what report.json holds; None where the run has not ended.
    """

    path: Path
    program: str
    flags: dict
    version: str
    inputs: dict
    plan: dict
    report: dict | None

    @classmethod
    def read(cls, folder: str | Path) -> "RunFolder":
        """Reads the folder.

        Raises:
            InputError: it is not that of a run, or one of its files is damaged.
        """
        folder = Path(folder)
        path = folder / "config.json"
        if not path.is_file():
            raise files.InputError(
                "wrong-folder",
                f"found no {path}; wanted the folder of a run, which the --output of "
                f"{', '.join(PROGRAMS)} named{neighbours.instead(folder, path.name)}",
            )
        config = schema.check(files.read_json(path), dict[str, object], str(path))
        program = config.get("program") or _program_of(config)
        if program not in PROGRAMS:
            raise files.InputError(
                "wrong-folder",
                f"found what {program or 'another program'} has written in {folder}; wanted the "
                f"folder of a run of {', '.join(PROGRAMS)}",
            )
        shapes = {
            "pretrain": training.Report,
            "finetune": _FineTuned,
            "distill": _Distilled,
        }
        report = _read(folder / "report.json", shapes[program])
        plan = _read(folder / training.PLAN, dict[str, object])
        if program == "pretrain" and plan and "last_steps" in plan:
            _read(folder / training.PLAN, training.Phases)
        flags = {name: value for name, value in config.items() if name not in _OWN}
        inputs = config.get("inputs") if isinstance(config.get("inputs"), dict) else {}
        version = str(config.get("roots_tf", ""))
        return cls(folder, program, flags, version, inputs, plan or {}, report)

    @functools.cached_property
    def histories(self) -> dict[str, list[dict]]:
        """Rows of metrics.jsonl by the name of what was trained: "" of one model, or each seed."""
        if self.program != "finetune":
            return {"": training.read_metrics(self.path)}
        seeds = [
            (int(match[1]), path)
            for path in self.path.glob("seed_*")
            if (match := re.fullmatch(r"seed_(\d+)", path.name))
        ]
        return {f"seed {seed}": training.read_metrics(path) for seed, path in sorted(seeds)}

    @property
    def phases(self) -> list[dict]:
        """Flags of each phase of pretraining; [] of other programs."""
        return (self.plan.get("phases") or []) if self.program == "pretrain" else []

    @property
    def last_step(self) -> int | None:
        """Where pretraining is to end; None where no plan tells."""
        steps = (self.plan.get("last_steps") or []) if self.program == "pretrain" else []
        return steps[-1] if steps else None

    @property
    def step(self) -> int:
        """The last step that a row tells of; over all seeds the highest."""
        return max((rows[-1]["step"] for rows in self.histories.values() if rows), default=0)

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.report is not None

    @property
    def subject(self) -> str:
        """What was learned: an objective or a kind of task."""
        if self.program == "distill":
            return str((self.report or {}).get("task") or "vectors of texts")
        return str(self.flags.get("objective" if self.program == "pretrain" else "task") or "")


def _read(path: Path, shape: type) -> dict | None:
    """The JSON object in a file, which is of the shape; None where there is no file.

    Raises:
        InputError: it is not.
    """
    if not path.exists():
        return None
    content = schema.check(files.read_json(path), dict[str, object], str(path))
    schema.check(content, shape, str(path), others_may_stand=True)
    return content


def _program_of(config: dict) -> str:
    """The program of a config of a version that did not name it: its flags tell."""
    marks = {"distill": "teacher", "finetune": "train", "pretrain": "duration"}
    return next((name for name, flag in marks.items() if flag in config), "")


def differing_flags(run: RunFolder, defaults: dict) -> tuple[list[tuple], list[tuple]]:
    """Flags of a run that are not as by default, and the others: (name, value, default).

    Args:
        run: whose flags.
        defaults: by name, as JSON has them.
    """
    differing, usual = [], []
    for name, value in run.flags.items():
        default = defaults.get(name)
        (usual if name in defaults and value == default else differing).append(
            (name, value, default)
        )
    return differing, usual
