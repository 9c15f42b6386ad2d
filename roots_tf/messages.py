"""What a program says on stderr: log lines for people, or JSON, and the line of a mistake."""

import datetime
import json
import logging as python_logging
import sys
import traceback
from typing import NamedTuple

from absl import logging

from roots_tf import progress

_LEVELS = {"CRITICAL": "fatal"}  # as absl has it; the others are Python's, in small letters


class Messages(NamedTuple):
    """How a program speaks.

    Attributes:
        program: its name, as the line of a mistake begins.
        quiet: whether it says nothing but warnings and errors.
        json: whether each line is a JSON object.
    """

    program: str = ""
    quiet: bool = False
    json: bool = False


_now = Messages()


def begin(wanted: Messages, is_worker: bool = False) -> None:
    """Has this process speak so, from here on.

    Args:
        wanted: how.
        is_worker: whether the process is one of a pool, which absl has not set up.
    """
    global _now
    _now = wanted
    logging.set_verbosity(logging.WARNING if wanted.quiet else logging.INFO)
    progress.use_bars(not (wanted.quiet or wanted.json or is_worker))
    if is_worker:
        handler = python_logging.StreamHandler()
        python_logging.getLogger().addHandler(handler)
    else:
        handler = logging.get_absl_handler().python_handler
        # TensorFlow writes its notices to the same log, and they are not for the user of a program.
        if _is_for_the_user not in logging.get_absl_handler().filters:
            logging.get_absl_handler().addFilter(_is_for_the_user)
    handler.setFormatter(_Lines() if wanted.json else logging.PythonFormatter())
    python_logging.captureWarnings(wanted.json)


def current() -> Messages:
    """How this process speaks."""
    return _now


def mistake(message, status: int, name: str) -> None:
    """Writes the line of a mistake, above nothing: bars that stand are ended.

    Args:
        message: an exception, whose `id` ends the line where it has one, or a text.
        status: that the process will exit with.
        name: of the program.
    """
    progress.close_all()
    logging.flush()
    line = " ".join(str(message).split())
    kind = getattr(message, "id", "")
    if not _now.json:
        print(f"{name}: {line}{f' [{kind}]' if kind else ''}", file=sys.stderr, flush=True)
        return
    fields = {"id": kind} if kind else {}
    _print_json("error", line, fields | {"status": status})


def bug(error: BaseException) -> None:
    """Writes a traceback as one JSON object."""
    lines = "".join(traceback.format_exception(error))
    _print_json("error", f"{type(error).__name__}: {error}", {"traceback": lines})


def _print_json(level: str, message: str, fields: dict) -> None:
    now = datetime.datetime.now(datetime.UTC)
    print(_line(now, level, message, fields), file=sys.stderr, flush=True)


def _line(when: datetime.datetime, level: str, message: str, fields: dict) -> str:
    about = {"time": when.isoformat(timespec="milliseconds"), "level": level}
    return json.dumps(about | {"program": _now.program, "message": message} | fields, default=str)


class _Lines(python_logging.Formatter):
    """A record as a line of JSON; what stands in its `fields` is there too, such as a step."""

    def format(self, record: python_logging.LogRecord) -> str:
        """The line."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        level = _LEVELS.get(record.levelname, record.levelname.lower())
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return _line(when, level, record.getMessage(), fields)


def _is_for_the_user(record: python_logging.LogRecord) -> bool:
    """Of TensorFlow only warnings and errors are."""
    return "/tensorflow/" not in record.pathname or record.levelno > python_logging.INFO
