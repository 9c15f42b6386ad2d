"""Say in words what looks wrong in a training run, why it matters and what to do.

    roots doctor --model_dir=work/pretrained

Takes a second. Reads what `pretrain` wrote to the folder (`plan.json`, `metrics.jsonl`,
`report.json`, names of checkpoints) and the manifest of its examples where that is
still there; also of a run that is under way or was killed. Writes the findings to `doctor.json` in
the same folder, and succeeds whatever it finds.
"""

import dataclasses
import textwrap
from pathlib import Path

from roots_tf import program
from roots_tf.diagnosis import diagnosis
from roots_tf.reports import run_record
from roots_tf.storage import files, places


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `doctor`."""

    model_dir: str = program.flag(help="output folder of pretrain", role="input")
    debug: bool = program.flag(False, help="the same; it is quick")


@program.takes_urls
def main(config: Config) -> list[dict]:
    """Prints and returns the findings."""
    run = run_record.read(config.model_dir)
    diagnosed = diagnosis.diagnose(run)
    numbers = "  ".join(diagnosis.spell(diagnosis.main_numbers(run)))
    folder = places.as_given(config.model_dir)
    print(f"{folder}: step {run.step:,} of {run.phases[-1].last_step:,}  {numbers}")
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


if __name__ == "__main__":
    program.run(main, Config)
