"""Records on disk: ids of a text or of a pair as numbers, framed as TFRecord. No TensorFlow.

A record is a row of little-endian words (of a computer), `uint16` where the vocabulary allows it
and `int32` where it does not, of one of two layouts:

    pairs        [document hash, length of A, ids of A ..., ids of B ...]
    contiguous   [document hash, index of the first token in its document, ids ...]

The highest bit of that index is set in the record with which a document ends. Older builds have no
such mark: there only a record that is shorter than the others shows where a document ends.

The document hash and the index have 32 bits, so each takes two `uint16` words (low, high) or one
`int32`. With each id stands a bit that says whether a word of the text starts there. Where an id
leaves room, up to 32,768 ids and above 65,536, it is bit 15 or 30 of the id's own word. Else a word
of 16 such bits, the lowest for the first, stands ahead of every 16 ids:

    groups       [..., bits, 16 ids, bits, 16 ids, bits, the ids that are left]

Records of format 1, of versions 0.1 and 0.2, have no such bits. Around a record stands the frame of
the TFRecord format, whose checksums name the damaged place:

    uint64 length | uint32 masked CRC-32C of the length | the record | uint32 masked CRC-32C of it

Checksums are computed for all records of a shard at once, a column of bytes at a time.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from roots_tf.storage import files, listings, ranges, urls

FRAME_BYTES = 16
LARGEST_UINT16_VOCABULARY = 1 << 16
START = {"uint16": 1 << 15, "int32": 1 << 30}  # the bit beside an id, where there is room for it
ENDS = 1 << 31  # beside the index of a contiguous record with which its document ends
GROUP = 16  # ids that share a word of bits, where there is none


def digest(*parts) -> int:
    """64-bit hash of `parts`, a few strings and numbers; the same on every machine."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def word_dtype(vocabulary_size: int) -> str:
    """Name of the word type that holds every id of the vocabulary.

    >>> word_dtype(30522), word_dtype(119547)
    ('uint16', 'int32')
    """
    return "uint16" if vocabulary_size <= LARGEST_UINT16_VOCABULARY else "int32"


def place_of_starts(vocabulary_size: int) -> str:
    """Where the bits stand that say what starts a word: in the "words" of ids, or in "groups".

    >>> place_of_starts(21128), place_of_starts(50257), place_of_starts(119547)
    ('words', 'groups', 'words')
    """
    return "groups" if START["uint16"] < vocabulary_size <= LARGEST_UINT16_VOCABULARY else "words"


def header_words(dtype: str, layout: str) -> int:
    """Words before the ids.

    >>> header_words("uint16", "pairs"), header_words("uint16", "contiguous")
    (3, 4)

    Args:
        dtype: name of the word type.
        layout: "pairs", "translation", which is laid out alike, or "contiguous".
    """
    number = 2 if dtype == "uint16" else 1  # words of a number of 32 bits
    return 2 * number if layout == "contiguous" else number + 1


def encode_pairs(
    ids: np.ndarray,
    starts_a: np.ndarray,
    lengths_a: np.ndarray,
    starts_b: np.ndarray,
    lengths_b: np.ndarray,
    hashes: np.ndarray,
    dtype: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Builds records of pairs from pieces of one flat array of ids.

    >>> words, lengths = encode_pairs(
    ...     np.array([7, 8, 9]), *map(np.array, ([0], [2], [2], [1], [65537])), "uint16")
    >>> words.tolist(), lengths.tolist()
    ([1, 1, 2, 7, 8, 9], [6])

    Args:
        ids: vocabulary ids, [total].
        starts_a, lengths_a, starts_b, lengths_b: where each record's segments lie in `ids`, [n].
        hashes: document hash of each record, below 2**32, [n].
        dtype: name of the word type.

    Returns:
        The records one after the other as words, and the number of words of each record, [n].
    """
    header = header_words(dtype, "pairs")
    lengths = header + lengths_a + lengths_b
    begins = np.cumsum(lengths) - lengths
    # Word j of a record comes from ids[j + shift], with one shift for A and another for B.
    column = np.arange(lengths.sum()) - np.repeat(begins, lengths)
    in_b = column >= np.repeat(header + lengths_a, lengths)
    shift = np.where(
        in_b,
        np.repeat(starts_b - header - lengths_a, lengths),
        np.repeat(starts_a - header, lengths),
    )
    words = ids.astype(dtype).take(column + shift, mode="clip")
    _put_numbers(words, begins, hashes)
    words[begins + header - 1] = lengths_a
    return words, lengths


def encode_contiguous(
    ids: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    hashes: np.ndarray,
    places: np.ndarray,
    dtype: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Builds records of contiguous text from pieces of one flat array of ids.

    >>> words, lengths = encode_contiguous(
    ...     np.array([7, 8, 9]), *map(np.array, ([1], [2], [65537], [128])), "uint16")
    >>> words.tolist(), lengths.tolist()
    ([1, 1, 128, 0, 8, 9], [6])

    Args:
        ids: vocabulary ids, [total].
        starts, lengths: where each record's tokens lie in `ids`, [n].
        hashes: document hash of each record, below 2**32, [n].
        places: index of each record's first token in its document, below 2**31, and `ENDS` added
            where the record is the last of its document, [n].
        dtype: name of the word type.

    Returns:
        As `encode_pairs`.
    """
    header = header_words(dtype, "contiguous")
    word_lengths = header + lengths
    begins = np.cumsum(word_lengths) - word_lengths
    shift = np.repeat(starts - header - begins, word_lengths)
    words = ids.astype(dtype).take(np.arange(word_lengths.sum()) + shift, mode="clip")
    _put_numbers(words, begins, hashes)
    _put_numbers(words, begins + header // 2, places)
    return words, word_lengths


def with_starts(
    encode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    ids: np.ndarray,
    starts: np.ndarray,
    vocabulary_size: int,
    header: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Builds records that hold where words start.

    >>> def encode(ids):
    ...     return np.append(np.uint16([9]), ids.astype("uint16")), np.array([3])
    >>> ids, starts = np.array([7, 8]), np.array([False, True])
    >>> with_starts(encode, ids, starts, 100, header=1)[0].tolist()
    [9, 7, 32776]
    >>> with_starts(encode, ids, starts, 50_000, header=1)[0].tolist()
    [9, 2, 7, 8]

    Args:
        encode: makes records without the bits of a flat array of ids; see `encode_pairs`.
        ids: vocabulary ids, [total].
        starts: whether a word of the text starts with each, bool [total].
        vocabulary_size: of the tokenizer.
        header: words of a record before its ids.

    Returns:
        As `encode_pairs`.
    """
    if place_of_starts(vocabulary_size) == "words":
        bit = START[word_dtype(vocabulary_size)]
        return encode(ids.astype(np.int32) | starts * np.int32(bit))
    words, lengths = encode(ids)
    bits, _ = encode(starts)
    column = np.arange(len(words))
    token = column - np.repeat(np.cumsum(lengths) - lengths, lengths) - header
    num_groups = -(-(lengths - header) // GROUP)
    place = column + np.repeat(np.cumsum(num_groups) - num_groups, lengths)
    place += np.where(token >= 0, token // GROUP + 1, 0)
    grouped = np.zeros(len(words) + int(num_groups.sum()), words.dtype)
    grouped[place] = words
    marked = (token >= 0) & (bits > 0)
    place, token = place[marked], token[marked] % GROUP
    grouped |= np.bincount(place - token - 1, 1 << token, len(grouped)).astype(words.dtype)
    return grouped, lengths + num_groups


def split(
    words: np.ndarray, lengths: np.ndarray, header: int, place: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The ids of records, and where words start: what `with_starts` was given, in their order.

    Args:
        words: records one after the other.
        lengths: words of each, [n].
        header: words of a record before its ids.
        place: of `place_of_starts`; None where the records have no bits, as in format 1.

    Returns:
        ids int32 [tokens], how many each record has [n], and starts bool [tokens] or None.
    """
    column = np.arange(len(words)) - np.repeat(np.cumsum(lengths) - lengths, lengths) - header
    inside, counts = column >= 0, lengths - header
    body = words[inside]
    if place is None:
        return body.astype(np.int32), counts, None
    if place == "words":
        bit = START[words.dtype.name]
        return (body & (bit - 1)).astype(np.int32), counts, body >= bit
    place_in_group = column[inside] % (GROUP + 1)
    is_id = place_in_group > 0
    bits = body[~is_id][np.cumsum(~is_id)[is_id] - 1]
    starts = bits >> (place_in_group[is_id] - 1) & 1
    return body[is_id].astype(np.int32), counts - -(-counts // (GROUP + 1)), starts > 0


def _put_numbers(words: np.ndarray, columns: np.ndarray, numbers: np.ndarray) -> None:
    """Puts numbers of 32 bits into `words` from the given columns on, as one or two words each."""
    numbers = numbers.astype(np.uint32)
    if words.dtype == np.uint16:
        words[columns], words[columns + 1] = numbers & 0xFFFF, numbers >> 16
    else:
        words[columns] = numbers.view(np.int32)


def frame(data: bytes | np.ndarray, lengths: np.ndarray) -> bytes:
    """Puts the TFRecord frame around each of several records.

    Args:
        data: the records, one after the other.
        lengths: bytes of each record, [n].
    """
    data = np.frombuffer(data, np.uint8)
    lengths = np.asarray(lengths, np.int64)
    sizes = lengths.astype("<u8").view(np.uint8).reshape(-1, 8)
    size_sums = _masked(_crc32c(sizes.ravel(), np.full(len(lengths), 8, np.int64)))
    data_sums = _masked(_crc32c(data, lengths))
    ends = np.cumsum(lengths + FRAME_BYTES)
    begins = ends - lengths - FRAME_BYTES
    framed = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    framed[begins[:, None] + np.arange(8)] = sizes
    framed[begins[:, None] + np.arange(8, 12)] = size_sums
    framed[ends[:, None] + np.arange(-4, 0)] = data_sums
    shift = np.repeat(begins + 12 - (np.cumsum(lengths) - lengths), lengths)
    framed[np.arange(len(data)) + shift] = data
    return framed.tobytes()


def read(path: str | Path) -> list[bytes]:
    """Reads the records of one file, local or behind a URL, and checks lengths and checksums.

    Raises:
        InputError: the file is missing, ends inside a record or holds a flipped bit; the message
            names the file and the offset at which the first damaged record begins.
    """
    if not is_there(path):
        raise files.InputError(
            "no-such-file",
            f"found no shard {path}; wanted what the manifest beside it lists: copy the missing "
            "file there, or run build-examples again",
        )
    with ranges.opened(path) as file:
        return parsed(file.read(), str(path))


def is_there(path: str | Path) -> bool:
    """Whether a `path` is that of a regular file, of a FIFO nothing would come; or a URL of one.

    Raises:
        InputError: its store cannot be asked.
    """
    if not urls.is_url(path):
        return Path(path).is_file()
    try:
        return not listings.about(path, anew=True).is_folder
    except files.InputError as error:
        if error.id != "no-such-file":
            raise
        return False


def parsed(content: bytes, path: str) -> list[bytes]:
    """The records in the content of a file, as for `read`.

    Args:
        content: of the file.
        path: of it, for messages.

    Raises:
        InputError: as for `read`.
    """
    begins, end = [], 0
    while end + FRAME_BYTES <= len(content):
        length = int.from_bytes(content[end : end + 8], "little")
        if end + FRAME_BYTES + length > len(content):
            break
        begins.append(end)
        end += FRAME_BYTES + length
    begins = np.array(begins, np.int64)
    lengths = np.diff(np.append(begins, end)) - FRAME_BYTES
    data = np.frombuffer(content, np.uint8)[:end]
    inside = np.ones(end, bool)
    inside[(begins[:, None] + np.arange(12)).ravel()] = False
    inside[(begins[:, None] + 12 + lengths[:, None] + np.arange(4)).ravel()] = False
    # Framing anew what was read gives the same bytes, or shows the first that differ.
    wrong = np.flatnonzero(np.frombuffer(frame(data[inside], lengths), np.uint8) != data)
    if len(wrong):
        end = int(begins[np.searchsorted(begins, wrong[0], side="right") - 1])
    if len(wrong) or end < len(content):
        raise files.InputError(
            "file-damaged",
            f"found a damaged record in {path} at byte offset {end}; wanted the file as "
            "build-examples wrote it: copy it again, or run build-examples again",
        )
    return [content[b + 12 : b + 12 + n] for b, n in zip(begins, lengths, strict=True)]


def _crc_table() -> np.ndarray:
    """What each byte adds to a CRC-32C: polynomial 0x1EDC6F41, reflected (RFC 3720, 12.1)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_CRC_TABLE = _crc_table()


def _crc32c(data: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """CRC-32C of each of several byte strings that stand one after the other in `data`, [n]."""
    order = np.argsort(-lengths, kind="stable")
    begins = (np.cumsum(lengths) - lengths)[order]
    descending = lengths[order]
    sums = np.full(len(lengths), 0xFFFFFFFF, np.uint32)
    for column in range(int(lengths.max(initial=0))):
        # The first rows are the long ones; the others have ended before this column.
        rows = np.searchsorted(-descending, -column)
        live = sums[:rows]
        byte = data[begins[:rows] + column]
        sums[:rows] = _CRC_TABLE[(live ^ byte) & 0xFF] ^ (live >> np.uint32(8))
    result = np.empty_like(sums)
    result[order] = sums ^ np.uint32(0xFFFFFFFF)
    return result


def _masked(sums: np.ndarray) -> np.ndarray:
    """The checksums as TFRecord stores them, rotated and shifted, as bytes [n, 4]."""
    masked = (sums >> np.uint32(15) | sums << np.uint32(17)) + np.uint32(0xA282EAD8)
    return masked.astype("<u4").view(np.uint8).reshape(-1, 4)
