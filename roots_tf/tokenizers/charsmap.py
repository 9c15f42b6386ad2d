"""Character maps of SentencePiece, as they stand in its models and in `tokenizer.json`.

Format (google/sentencepiece, normalizer.cc, and s-yata/darts-clone, darts.h): the size of a trie in
bytes as uint32, the trie, replacements that end in a zero byte. The trie is a double array of
uint32: bits 0-7 of a unit hold the byte that leads to it, bit 8 whether a key ends there, bits
10-30 the offset to its children, times 256 where bit 9 is set. A child stands at the place of its
parent, xor the offset, xor its byte; child 0 is the place of the replacement, beside bit 31.
"""

import numpy as np

from roots_tf.storage import files

MAX_BYTES = 5  # of keys that are read


def read(content: bytes) -> dict[str, str]:
    """Keys of at most MAX_BYTES bytes, and their replacements.

    Raises:
        InputError: the map is damaged.
    """
    try:
        size = int(np.frombuffer(content, "<u4", 1)[0])
        units = np.frombuffer(content, "<u4", size // 4, offset=4).astype(np.int64)
        return dict(_entries(units, content[4 + size :]))
    except (IndexError, ValueError) as error:  # a UnicodeDecodeError is a ValueError
        raise files.InputError(
            "file-damaged",
            f"found a damaged character map of {len(content)} bytes ({error}); "
            "wanted the precompiled_charsmap of a SentencePiece model",
        ) from error


def _entries(units: np.ndarray, replacements: bytes):
    """Pairs of the trie, level by level."""
    keys, places = [b""], _children(units, np.zeros(1, np.int64))
    for _ in range(MAX_BYTES):
        byte = np.arange(1, 256)
        at = places[:, None] ^ byte  # [nodes, 255]
        parent, child = np.nonzero((at < len(units)) & (units[at % len(units)] & _LABEL == byte))
        keys = [keys[p] + bytes([byte[c]]) for p, c in zip(parent, child, strict=True)]
        nodes = at[parent, child]
        places = _children(units, nodes)
        for i in np.flatnonzero(units[nodes] >> 8 & 1):
            start = units[places[i]] & 0x7FFFFFFF
            end = replacements.index(b"\0", start)
            yield keys[i].decode("utf-8"), replacements[start:end].decode("utf-8")


_LABEL = 1 << 31 | 0xFF


def _children(units: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Where the children of nodes are counted from."""
    entries = units[nodes]
    return nodes ^ (entries >> 10 << np.where(entries & 1 << 9, 8, 0))
