"""Vocabulary files of WordPiece (`vocab.txt`): one token a line, its id is the line's index.

Format: google-research/bert `vocab.txt`.
"""

from collections.abc import Sequence
from pathlib import Path

from roots_tf.storage import files

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SUFFIX_PREFIX = "##"
LARGEST = 256 << 20  # bytes of a file


def read_vocabulary(path: str | Path, special_tokens: Sequence[str] = SPECIAL_TOKENS) -> list[str]:
    """Reads and checks a `vocab.txt`.

    Args:
        path: UTF-8 file, a token a line, lines ended by a bare newline.
        special_tokens: those that it must hold.

    Returns:
        The tokens in the order of their ids.

    Raises:
        InputError: the file is missing, empty, not UTF-8, starts with a byte-order mark, has CRLF
            line ends, a blank line, spaces around a token, a token twice, or lacks one of the
            special tokens; the message names the line.
    """
    path = Path(path)
    content = files.read_bytes(path, "a vocabulary with a token a line", LARGEST)
    if content.startswith(b"\xef\xbb\xbf"):
        raise files.InputError(
            "broken-vocabulary",
            f"{path}, line 1: found a byte-order mark; wanted plain UTF-8: remove the three bytes",
        )
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    tokens = [_checked(path, number, line) for number, line in enumerate(lines, 1)]
    check_tokens(tokens, path, special_tokens)
    return tokens


def _checked(path: Path, number: int, line: bytes) -> str:
    """One line as a token."""
    where = f"{path}, line {number}: "
    try:
        token = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise files.InputError(
            "not-text",
            f"{where}found the bytes {line!r}, which are not UTF-8; save the file as UTF-8",
        ) from error
    if token.endswith("\r"):
        raise files.InputError(
            "broken-vocabulary",
            f"{where}found a CRLF line end; wanted a bare newline: convert with `sed -i "
            "'s/\\r$//'`",
        )
    if not token.strip(" \t"):
        raise files.InputError(
            "broken-vocabulary",
            f"{where}found a blank line; every line is a token: put a token such as "
            "[unused0] there",
        )
    if token != token.strip(" \t"):
        raise files.InputError(
            "broken-vocabulary",
            f"{where}found spaces around the token {token.strip()!r}; no text can match them: "
            "remove them",
        )
    return token


def check_tokens(
    tokens: Sequence[str], where: str | Path, special_tokens: Sequence[str] = SPECIAL_TOKENS
) -> None:
    """Checks the `tokens` of a WordPiece vocabulary, read from `where`, as a whole.

    Args:
        tokens: in the order of ids.
        where: path, for messages.
        special_tokens: those that must be among them.

    Raises:
        InputError: a token stands twice, or a special token is missing.
    """
    first_line: dict[str, int] = {}
    for number, token in enumerate(tokens, 1):
        if token in first_line:
            raise files.InputError(
                "broken-vocabulary",
                f"{where}, line {number}: found {token!r} again, first in line "
                f"{first_line[token]}; a token has one id: rename one to an [unused...] token",
            )
        first_line[token] = number
    if missing := [token for token in special_tokens if token not in first_line]:
        raise files.InputError(
            "no-special-token",
            f"{where}: found no line {' or '.join(missing)} among {len(tokens)}; wanted "
            "each special token on a line of its own: add it, or rename an [unused...] line",
        )


def is_cased(tokens: Sequence[str]) -> bool:
    """Whether a vocabulary is of text as it was, not lower-cased.

    A `vocab.txt` does not say. One made from lower-cased text has no token with an upper-case
    letter, but for names in brackets, such as [CLS] and the <S> and <T> of Google's multilingual
    and Chinese vocabularies, and for a few that were added by hand: of a cased vocabulary, the 26
    letters alone are more than one in a thousand.

    Args:
        tokens: in any order.
    """
    cased = [token for token in tokens if token != token.lower() and not _is_bracketed(token)]
    return len(cased) > len(tokens) / 1000


def _is_bracketed(token: str) -> bool:
    return (token[:1], token[-1:]) in (("[", "]"), ("<", ">"))
