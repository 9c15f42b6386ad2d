"""Labels that stand before a text, or in the names of files and folders."""

import os
import re
from collections.abc import Iterator

from absl import logging

from roots_tf import spelling
from roots_tf.labelled.text_files import TABLES, lines_of, no_file, read_text, short, suffix_of
from roots_tf.storage import compression, paths
from roots_tf.storage.files import InputError

LABEL_FIRST = ".label"
_LABEL_FIRST = re.compile(r"([^\s:]+):(\S+)\s+(.*)", re.DOTALL)
_FASTTEXT = re.compile(r"__label__(\S+)\s+(.*)", re.DOTALL)
_WAYS = (
    ".tsv, .csv, .jsonl or .parquet; a file a label (a.pos,a.neg), a folder a label, lines "
    "`__label__pos a text` (.txt) or `LABEL:fine a text` (.label)"
)


def rows_of_lines(path: str, suffix: str, text: str) -> Iterator[tuple[int, dict]]:
    """Rows of a file whose lines begin with a label.

        DESC:manner How did it begin ?  ->  label DESC, fine_label DESC:manner   (TREC, `.label`)
        __label__pos a good film        ->  label pos                             (fastText, `.txt`)

    Args:
        path: of the file, for messages.
        suffix: `.label` or `.txt`.
        text: of the file.

    Raises:
        InputError: a line has no label, or several.
    """
    pattern = _LABEL_FIRST if suffix == LABEL_FIRST else _FASTTEXT
    for number, line in lines_of(text):
        match = pattern.match(line.strip())
        if match is None and suffix != LABEL_FIRST and number == 1:
            raise other_format(path, suffix)
        if match is None or (suffix != LABEL_FIRST and match[2].startswith("__label__")):
            wanted = "LABEL:fine" if suffix == LABEL_FIRST else "one __label__NAME"
            raise InputError(
                "wrong-row",
                f"found {short(line)} in {path}, line {number}; wanted {wanted}, a space "
                "and a text",
            )
        if suffix == LABEL_FIRST:
            fine = f"{match[1]}:{match[2]}"
            yield number, {"label": match[1], "fine_label": fine, "text": match[3]}
        else:
            yield number, {"label": match[1], "text": match[2]}


def parts_of(path: str) -> list[str]:
    """The files or folders that one name stands for: a list that commas part, or a pattern.

    Raises:
        InputError: the list can be read in two ways, or has quotes that are not closed.
    """
    try:
        names = paths.named(path)
    except ValueError as error:
        raise InputError("wrong-value", f"found {error}") from error
    if not names:
        raise InputError("missing-flag", "found no name of a file; wanted labelled examples")
    return [part for name in names for part in paths.matching(name) or [name]]


def files_of(path: str) -> list[str]:
    """The files that the name of labelled examples stands for, in order: one, or those of folders.

    Args:
        path: as `tables.read` takes it.

    Raises:
        InputError: as for `parts_of`; or a folder cannot be read.
    """
    return [
        file
        for part in parts_of(path)
        for file in (_files_under(part) if os.path.isdir(part) else [part])
    ]


def rows_of_parts(parts: list[str], encoding: str) -> Iterator[tuple[str, dict]]:
    """Rows of files that are a label each, or of folders.

        rt-polarity.pos, rt-polarity.neg    a text a line; what differs in the names is the label
        aclImdb/train                       a text a file; the folders in it are the labels
        aclImdb/train/pos, .../neg          a text a file; these folders are the labels

    Args:
        parts: several files or folders, or one folder.
        encoding: of the files.

    Yields:
        Place of the row, and its `label` and `text`.

    Raises:
        InputError: a part is missing, cannot be read, or is a table.
    """
    if missing := [part for part in parts if not os.path.exists(part)]:
        raise no_file(missing[0])
    if any(map(os.path.isdir, parts)):
        for label, folder in _labelled_folders(parts):
            for file in _files_under(folder):
                if suffix_of(file) in TABLES:
                    raise InputError(
                        "wrong-folder",
                        f"found the table {file} in a folder; wanted a text a file, or the name of "
                        "the table itself",
                    )
                if text := read_text(file, encoding).strip():
                    yield file, {"label": label, "text": text}
        return
    if tables := [part for part in parts if suffix_of(part) in TABLES]:
        raise InputError(
            "wrong-folder",
            f"found {tables[0]} beside other files; wanted one table: write the rows of all in it",
        )
    for label, file in zip(labels_of_files(parts), parts, strict=True):
        for number, line in lines_of(read_text(file, encoding)):
            yield f"{file}, line {number}", {"label": label, "text": line}


def labels_of_files(names: list[str]) -> list[str]:
    """What differs in names of files, between their full stops.

    >>> labels_of_files(["data/rt-polarity.pos", "data/rt-polarity.neg"])
    ['pos', 'neg']
    >>> labels_of_files(["world.txt", "sports.txt"])
    ['world', 'sports']
    """
    plain = [os.path.basename(compression.without_compression(name)).split(".") for name in names]
    if len({len(name) for name in plain}) > 1:
        return [name[0] for name in plain]
    differ = [len(set(column)) > 1 for column in zip(*plain, strict=True)]
    return [".".join(p for p, d in zip(name, differ, strict=True) if d) for name in plain]


def _labelled_folders(parts: list[str]) -> list[tuple[str, str]]:
    """Labels and their folders."""
    if files := [part for part in parts if not os.path.isdir(part)]:
        raise InputError(
            "wrong-folder", f"found the file {files[0]} beside folders; wanted folders alone"
        )
    if len(parts) == 1:
        names = (name for name in sorted(os.listdir(parts[0])) if not name.startswith((".", "_")))
        there = [os.path.join(parts[0], name) for name in names]
        if inside := [path for path in there if os.path.isdir(path)]:
            beside = [os.path.basename(path) for path in there if path not in inside]
            left = f"; left out beside them: {', '.join(beside[:9])}" if beside else ""
            labels = ", ".join(map(os.path.basename, inside[:20]))
            logging.info("%s: its folders are labels, %s%s", parts[0], labels, left)
            parts = inside
    return [(os.path.basename(os.path.abspath(part)), part) for part in parts]


def _files_under(folder: str) -> list[str]:
    try:
        return list(paths.real_names(paths.files_under(folder)).values())
    except OSError as error:
        raise InputError(
            "unreadable-file",
            f"could not read {error.filename}: {error.strerror}; mend it or take it away",
        ) from error


def other_format(path: str, suffix: str) -> InputError:
    """What to say of a file of no format that is known; `path` and `suffix` are named."""
    if not os.path.exists(path):
        return no_file(path)
    meant = spelling.suggestion(suffix, (*TABLES, LABEL_FIRST, ".txt")) if suffix else ""
    return InputError(
        "unknown-suffix", f"found {path}, with suffix {suffix!r}; wanted {_WAYS}{meant}"
    )
