"""Sentences of tagged words from Parquet, as data sets of the Hugging Face hub have them.

tokens                      ner_tags
["U.N.", "official"]        [3, 0], whose names stand in the schema, or ["B-ORG", "O"]
"""

from collections.abc import Mapping

from roots_tf.labelled import conll, parquet_rows
from roots_tf.labelled.conll import Sentence
from roots_tf.storage.files import InputError

SUFFIX = ".parquet"
TAG_COLUMNS = ("tags", "ner_tags")


def has_tokens(path: str, columns: Mapping[str, str]) -> bool:
    """Whether a file holds words, and not whole texts.

    Args:
        path: of the file.
        columns: what it calls `tokens` and `tags`.

    Raises:
        InputError: it is missing or damaged.
    """
    return columns.get("tokens", "tokens") in parquet_rows.columns(path)


def read(path: str, columns: Mapping[str, str], labelled: bool = True) -> list[Sentence]:
    """Reads words and the tag of each; tags as in `conll.read`.

    Args:
        path: of the file.
        columns: what it calls `tokens` and `tags`; else so, or `ner_tags`.
        labelled: whether tags are read.

    Raises:
        InputError: the file is missing or damaged, lacks a column or holds no sentence; or a row
            has not a tag for each word, or a tag of another scheme.
    """
    if unknown := sorted(columns.keys() - {"tokens", "tags"}):
        raise InputError(
            "no-such-column",
            f"found a name for column {unknown[0]!r}; wanted names for: tokens, tags",
        )
    there = parquet_rows.columns(path)
    usual = next((name for name in TAG_COLUMNS if name in there), TAG_COLUMNS[0])
    names = {"tokens": columns.get("tokens", "tokens")}
    names |= {"tags": columns.get("tags", usual)} if labelled else {}
    sentences = []
    for number, row in parquet_rows.rows(path, names, names):
        where = f"{path}, row {number}"
        words, tags = row["tokens"], row.get("tags") if labelled else []
        if not _are_texts(words):
            raise InputError(
                "wrong-row", f"found no list of words as tokens in {where}; wanted one in every row"
            )
        if labelled and not (_are_texts(tags, may_be_numbers=True) and len(tags) == len(words)):
            count = len(tags) if isinstance(tags, list) else "no"
            raise InputError(
                "wrong-row",
                f"found {len(words)} tokens and {count} tags in {where}; wanted a tag for each",
            )
        conll.check_tags(tags, where)
        if words:
            sentences.append(Sentence(tuple(words), tuple(conll.to_iob2(tags)), number))
    if not sentences:
        raise InputError("empty-input", f"found no sentence in {path}; wanted rows of tokens")
    return sentences


def _are_texts(values, may_be_numbers: bool = False) -> bool:
    """Whether a value is a list of texts that are not blank."""
    if not isinstance(values, list):
        return False
    kinds = (str, int) if may_be_numbers else str
    return all(isinstance(v, kinds) and str(v).strip() for v in values)
