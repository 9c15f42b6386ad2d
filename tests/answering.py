"""What `predict` writes or prints, as values."""

import contextlib
import io
import json
from pathlib import Path

from pipelines import predict


def answers_of(config: predict.Config) -> list[dict]:
    """The answers in the output of the program, JSON lines, or in what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        found = predict.main(config)
    print(printed.getvalue(), end="")
    lines = Path(config.output).read_text("utf-8") if config.output else printed.getvalue()
    answers = [json.loads(line) for line in lines.split("\n")[:-1]]
    assert found == {"answers": len(answers)}
    return answers
