"""Sources and targets from labelled files: translations, summaries, headlines.

two text files           a source a line, its target on the same line of the other file
TSV, CSV, JSON, Parquet  columns `source` and `target`
one text file            sources alone, where no targets are wanted
"""

from pathlib import Path

from absl import logging

from roots_tf.labelled import lazy_text, tables
from roots_tf.labelled.sampling import take
from roots_tf.labelled.source import Source
from roots_tf.labelled.text_files import TABLES, no_file, read_text, suffix_of
from roots_tf.storage import paths
from roots_tf.storage.files import InputError

COLUMNS = ("source", "target")
_MOSTLY = 0.5  # share of pairs from which on equal sides are told


def read(
    path: str | Path,
    columns: dict[str, str] | None = None,
    labelled: bool = True,
    encoding: str = "utf-8",
) -> tables.Table:
    """Reads pairs; those without text on one side are left out, and counted in a warning.

    Without targets every source stays, blank ones as empty texts, so that answers stand line by
    line with the file.

    Args:
        path: of a file, or of two that a comma parts, the sources first.
        columns: what a table calls some columns, by their names here.
        labelled: whether there are targets.
        encoding: name of that of a text without a byte order mark.

    Returns:
        Columns `source` and, of pairs, `target`.

    Raises:
        InputError: the files cannot be read, are not of as many lines, or hold no pairs.
    """
    if not labelled:
        return texts_of(sources(str(path), columns, encoding).read())
    names = _names(str(path))
    if any(suffix_of(name) in TABLES for name in names):
        table = texts_of(_table(str(path), names, columns, COLUMNS, encoding).read())
    else:
        tables.refuse_columns(columns or {}, path)
        table = _of_texts(names, encoding)
    return _with_both(table)


def _names(path: str) -> tuple[str, ...]:
    """Names of the files; a pattern is none, as the order of what it matches is not told."""
    try:
        return paths.named(path)
    except ValueError as error:
        raise InputError("wrong-value", f"found {error}") from error


def sources(path: str, columns: dict[str, str] | None, encoding: str = "utf-8") -> Source:
    """What `read` reads without targets; arguments and errors as for it."""
    names = _names(str(path))
    if any(suffix_of(name) in TABLES for name in names):
        return _table(str(path), names, columns, COLUMNS[:1], encoding)
    tables.refuse_columns(columns or {}, path)
    _check_count(names, labelled=False)
    (name,) = names

    def rows(text_of):
        if not Path(name).is_file():
            raise no_file(name)
        number = 0
        for number, line in enumerate(lazy_text.opened(text_of(name, encoding), "\n"), 1):
            yield number, {"source": line.removesuffix("\n").removesuffix("\r")}
        if not number:
            raise InputError("empty-input", f"found no lines in {name}; wanted sources")

    return Source(name, rows, COLUMNS[:1])


def texts_of(table: tables.Table) -> tables.Table:
    """The table with what stands in its columns as texts.

    Raises:
        InputError: as for `tables.strings`.
    """
    return table._replace(columns={name: tables.strings(table, name) for name in table.columns})


def _table(path: str, names, columns, required, encoding: str) -> Source:
    if len(names) > 1:
        raise InputError(
            "unknown-suffix",
            f"found {path}; wanted one table with source and target, or two text files",
        )
    return tables.source(path, required, (), columns, may_be_blank=required, encoding=encoding)


def _check_count(names, labelled: bool) -> None:
    """Refuses other than two text files of pairs, or one of sources."""
    wanted = 2 if labelled else 1
    if len(names) != wanted:
        raise InputError(
            "not-parallel" if labelled else "unknown-suffix",
            f"found {', '.join(names)}; wanted "
            + (
                "two text files, the sources first, with a comma between: train.en,train.de; or a "
                "table with source and target (.jsonl, .tsv, .csv, .parquet)"
                if labelled
                else "one text file of sources, or a table with source"
            ),
        )


def _of_texts(names, encoding: str) -> tables.Table:
    """The pairs of two text files."""
    _check_count(names, labelled=True)
    sides = [_lines(name, encoding) for name in names]
    if len({*map(len, sides)}) > 1:
        raise InputError(
            "not-parallel",
            f"found {len(sides[0]):,} lines in {names[0]} and {len(sides[1]):,} in {names[1]}; "
            "wanted as many: line by line the second holds the targets of the first",
        )
    if not sides[0]:
        raise InputError("empty-input", f"found no lines in {names[0]}; wanted sources")
    lines = list(range(1, len(sides[0]) + 1))
    return tables.Table(dict(zip(COLUMNS, sides, strict=False)), lines, names[0])


def _lines(path: str, encoding: str) -> list[str]:
    """Lines of a file, also blank ones, without their ends."""
    if not Path(path).is_file():
        raise no_file(path)
    lines = read_text(path, encoding).split("\n")
    if not lines[-1]:  # behind the last end of a line
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _with_both(table: tables.Table) -> tables.Table:
    """The pairs with text on both sides."""
    pairs = list(zip(*(table.columns[name] for name in COLUMNS), strict=True))
    kept = [row for row, pair in enumerate(pairs) if all(text.strip() for text in pair)]
    if not kept:
        raise InputError(
            "empty-input", f"found no pair with a source and a target in {table.path}; wanted some"
        )
    if left_out := len(pairs) - len(kept):
        logging.warning(
            "%s: %d of %d pairs have no text on one side, the first at %s, and are left out",
            *(table.path, left_out, len(pairs)),
            table.where(next(row for row, i in enumerate([*kept, len(pairs)]) if row != i)),
        )
    same = sum(pairs[row][0].strip() == pairs[row][1].strip() for row in kept)
    if same > _MOSTLY * len(kept) and len(kept) > 1:
        logging.warning(
            "%s: in %d of %d pairs the source is the target; is one file given twice?",
            *(table.path, same, len(kept)),
        )
    return take(table, kept) if left_out else table
