"""GPT-2's two files of byte-level BPE: `vocab.json` with ids, `merges.txt` with pairs by rank.

Format: openai/gpt-2 `encoder.json` and `vocab.bpe`, which transformers took over under these names.
"""

from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from roots_tf.storage import files, schema
from roots_tf.tokenizers.tokenizer import END_OF_TEXT
from roots_tf.tokenizers.transformers_settings import MERGES

LARGEST = 256 << 20  # bytes of `merges.txt`


def read(path: Path, add_prefix_space: bool) -> tokenizers.Tokenizer:
    """The backend of a vocabulary, in which `<|endoftext|>` is special where there is one.

    Args:
        path: of `vocab.json`; `merges.txt` stands beside it.
        add_prefix_space: whether a text that begins with a letter is read with a space before it.

    Raises:
        InputError: a file is missing or damaged, or a merge has tokens that are not there.
    """
    vocab = schema.check(files.read_json(path), dict[str, int], str(path))
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise files.InputError(
            "broken-vocabulary",
            f"found {len(vocab)} tokens in {path} with other ids than those from 0 on; wanted each "
            "once: write that file again",
        )
    merges = _merges(path.with_name(MERGES))
    try:
        backend = tokenizers.Tokenizer(models.BPE(vocab, merges))
    except BaseException as error:  # the Rust side raises the bare class, or panics
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise files.InputError(
            "broken-vocabulary",
            f"{path} and {MERGES} do not fit together: {error}; wanted both of one model",
        ) from error
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    if END_OF_TEXT in vocab:
        backend.add_special_tokens([END_OF_TEXT])
    return backend


def _merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of a `merges.txt`, the first of the highest rank."""
    content = files.read_bytes(
        path, "the merges of the vocab.json beside it, a pair a line", LARGEST
    )
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        raise files.InputError(
            "not-text",
            f"found bytes that are not UTF-8 in {path} ({error}); save it as UTF-8",
        ) from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        pair = line.removesuffix("\r").split(" ")
        if len(pair) != 2 or not all(pair):
            raise files.InputError(
                "broken-vocabulary",
                f"{path}, line {number}: found {line[:40]!r}; wanted two tokens and a space",
            )
        pairs.append((pair[0], pair[1]))
    return pairs
