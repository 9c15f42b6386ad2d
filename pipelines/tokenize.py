"""Show how text is cut: pieces, ids and characters; or turn ids back into text.

    echo "Unaffable, isn't it?" | roots tokenize --vocabulary=bert/vocab.txt
    roots tokenize --vocabulary=vocabulary/ --input=notes.txt --format=json
    echo "7592 2088" | roots tokenize --vocabulary=bert/vocab.txt --decode

Reads lines of files, or of standard input; starts in a fraction of a second, and handles some
thousand lines a second. The first prints:

    Unaffable, isn't it?
        0-3     14477  una
        3-6     20961  ##ffa
        6-9      3468  ##ble
"""

import dataclasses
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Literal

from roots_tf import program, progress, tokenizers
from roots_tf.storage import encodings, files
from roots_tf.tokenizers.shown import shown


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `tokenize`."""

    vocabulary: str = program.flag(
        help="tokenizer folder, tokenizer.json, vocab.txt or .model", role="input"
    )
    input: tuple[str, ...] = program.flag((), help="text files; none: standard input", role="input")
    encoding: str = program.flag(
        "utf-8", help="of what is read; a byte order mark of a file goes before it"
    )
    decode: bool = program.flag(False, help="lines are ids, to be turned into text")
    format: Literal["table", "json", "ids"] = program.flag(
        "table", help="a line a piece, JSON lines, or the ids of each line"
    )
    debug: bool = program.flag(False, help="stop after 100 lines")


@program.takes_urls
def main(config: Config) -> None:
    """Tokenises or decodes each line."""
    tokenizer = tokenizers.load(config.vocabulary)
    try:
        _print_lines(config, tokenizer)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_lines(config: Config, tokenizer: tokenizers.Tokenizer) -> None:
    with progress.Progress("tokenize", None, "lines", prints=True) as shown:
        for number, line in enumerate(_lines(config.input, config.encoding), 1):
            if config.debug and number > 100:
                break
            if config.decode:
                ids = _ids(line, number, tokenizer.size)
                print(tokenizer.decode(ids, skip_special_tokens=False))
            else:
                _show(line, tokenizer, config.format)
            shown.add()


def _lines(paths: tuple[str, ...], encoding: str) -> Iterator[bytes]:
    """Lines of the files, or of standard input, without line ends, as UTF-8."""
    encoding = encodings.python_name(encoding)
    if not paths:
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding, newline="\n")
        try:
            yield from (line.rstrip("\r\n").encode() for line in lines)
        except UnicodeDecodeError as error:
            raise files.InputError(
                "not-text",
                f"found bytes that are not {encodings.shown_name(encoding)} in the standard input; "
                f"{encodings.advice('-', error.object)}",
            ) from error
        finally:
            lines.detach()
        return
    from roots_tf.corpus import decoding, tally

    for path in files.expand(paths):
        carry = ""
        for block in decoding.text_blocks(path, 0, -1, tally.Tally(), encoding):
            *whole, carry = (carry + block).split("\n")
            yield from map(str.encode, whole)
        if carry:
            yield carry.encode()


def _ids(line: bytes, number: int, size: int) -> list[int]:
    """Ids that a line lists, parted by spaces or commas."""
    try:
        ids = [int(word) for word in line.replace(b",", b" ").split()]
    except ValueError as error:
        raise files.InputError(
            "wrong-value", f"line {number}: found {line!r}; wanted ids to decode"
        ) from error
    if wrong := [i for i in ids if not 0 <= i < size]:
        raise files.InputError(
            "number-out-of-range",
            f"line {number}: found the id {wrong[0]}; wanted ids from 0 to {size - 1}",
        )
    return ids


def _show(line: bytes, tokenizer: tokenizers.Tokenizer, style: str) -> None:
    """Prints one line's pieces."""
    encoded = tokenizer.encode_with_offsets([line])
    ids, starts, ends = (x.tolist() for x in (encoded.ids, encoded.starts, encoded.ends))
    pieces = [tokenizer.vocabulary[i] for i in ids]
    text = line.decode("utf-8", "replace")
    if style == "ids":
        print(*ids)
    elif style == "json":
        record = {"text": text, "pieces": pieces, "ids": ids, "starts": starts, "ends": ends}
        print(json.dumps(record, ensure_ascii=False))
    else:
        print(text)
        for piece, token_id, start, end in zip(
            shown(tokenizer, ids), ids, starts, ends, strict=True
        ):
            print(f"  {f'{start}-{end}':>9} {token_id:>9}  {piece}")


if __name__ == "__main__":
    program.run(main, Config)
