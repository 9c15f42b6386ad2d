"""Show runs side by side, or make the report of one again.

    roots compare --runs=work/a,work/b --output=compare.html
    roots compare --runs=work/a

Takes a second. Reads what pretrain, finetune and distill wrote to their folders, also of a run that
is under way or was killed. Of several runs it prints their last numbers with the differences and
the flags that differ, and writes a page with their curves over one another, by step, by tokens and
by time. Of one run it writes `report.html` into its folder again, as the run does at its end.
"""

import dataclasses
import json
from pathlib import Path

from roots_tf import program
from roots_tf.reports import comparison, run_page
from roots_tf.storage import files, places


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `compare`."""

    runs: tuple[str, ...] = program.flag(
        help="folders that pretrain, finetune or distill wrote, commas between them; or a pattern",
        role="input",
    )
    output: str = program.flag(
        "",
        help="page to write, such as compare.html; none: of one run report.html in its folder, of "
        "several no page",
        role="output_file",
    )
    json: bool = program.flag(False, help="print JSON instead of a table")
    debug: bool = program.flag(False, help="the same; it is quick")


@program.takes_urls
def main(config: Config) -> dict:
    """Compares, writes the page and returns what is printed as JSON."""
    if not config.runs:
        raise files.InputError(
            "missing-flag", "found no folder in --runs; wanted that of a run, or several"
        )
    runs = comparison.read(config.runs)
    compared = comparison.finite(comparison.compare(runs))
    output = config.output
    if len(runs) == 1:
        output = output or str(Path(runs[0].path, run_page.NAME))
        files.write_text(output, run_page.render(runs[0]))
    elif output:
        files.write_text(output, comparison.render(runs))
    if config.json:
        shown = json.dumps(compared, indent=2, ensure_ascii=False, allow_nan=False)
    else:
        shown = comparison.printed(compared)
        # Without --output the page of a run in a store stays on this machine.
        page = places.as_given(output) if config.output else output
        shown += f"\n\nthe page is {page}" if output else ""
    print(shown.encode("utf-8", "backslashreplace").decode())  # a path may be no UTF-8
    return compared


if __name__ == "__main__":
    program.run(main, Config)
