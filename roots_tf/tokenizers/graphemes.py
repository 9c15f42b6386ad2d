"""Which characters `tokenizers` takes for one grapheme cluster, as an array of properties.

Boundaries follow Unicode Standard Annex 29 (extended grapheme clusters, rules GB3 to GB11). The
sort of each character is found by trying it in the normaliser that uses the clusters, so versions
of Unicode need not agree. Pairs of regional indicators (GB12, GB13) are left out: the normaliser
only looks at clusters of less than six bytes, and one indicator has four.
"""

import functools

import numpy as np
from tokenizers import normalizers

from roots_tf.tokenizers import characters

# A character binds sorts of followers: (properties[i] & properties[i + 1] >> SORTS) & BINDS != 0.
SORTS = 6
BINDS = (1 << SORTS) - 1
_EXTENDING, _ANY, _LEADING, _VOWEL, _TRAILING, _LINE_FEED = (1 << bit for bit in range(SORTS))
# For the two rules that look further back: GB9c (conjuncts) and GB11 (emoji).
CONSONANT, LINKER, IN_CONJUNCT, PICTOGRAPH, IN_EMOJI = (1 << bit for bit in range(12, 17))
JOINER = 0x200D  # ZERO WIDTH JOINER

_ACUTE = "\u0301"  # extends whatever stands before it; two bytes
_PREPENDED = "\u0600"  # is in one cluster with what follows; two bytes
_HANGUL = {_LEADING: "\u1100", _VOWEL: "\u1161", _TRAILING: "\u11a8"}
_KA, _VIRAMA = "\u0915", "\u094d"  # a consonant and a linker
_COPYRIGHT = "\u00a9"  # a pictograph; two bytes


@functools.cache
def properties() -> np.ndarray:
    """Properties of all code points: int32 [NUM_CODE_POINTS]."""
    probe = _probe()
    # U+0001 separates the strings that are tried; it is a control character like others.
    codes = np.array([code for code in characters.asked() if code != 1])

    def those_with(codes: np.ndarray, before: str, after: str, clusters: int) -> np.ndarray:
        """The code points of which the probe makes so many characters between two strings."""
        row = [ord(c) for c in f"{before}0{after}\x01"]
        asked = np.tile(np.array(row, "<u4"), (len(codes), 1))
        asked[:, len(before)] = codes
        answer = probe.normalize_str(asked.tobytes().decode("utf-32-le")).encode("utf-32-le")
        ends = np.flatnonzero(np.frombuffer(answer, "<u4") == 1)
        return codes[np.diff(ends, prepend=-1) - 1 == clusters]

    # The probe makes one character of a cluster below six bytes, and one of each character else.
    extending = those_with(codes, "0", "", 1)
    prepended = those_with(codes, "", "0", 1)
    controls = those_with(codes, "", _ACUTE * 2, 2)
    others = np.setdiff1d(codes, np.concatenate([extending, prepended, controls]))
    result = np.full(characters.NUM_CODE_POINTS, _EXTENDING | _ANY << SORTS, np.int32)
    result[[*controls, 1]] = 0
    result[ord("\r")] = _LINE_FEED
    result[ord("\n")] = _LINE_FEED << SORTS
    result[extending] |= _EXTENDING << SORTS
    result[prepended] |= _ANY
    binds = {sort: those_with(others, "", one + _ACUTE, 3) for sort, one in _HANGUL.items()}
    for sort, found in binds.items():
        result[found] |= sort
    hangul = functools.reduce(np.union1d, binds.values())
    follows = {sort: those_with(hangul, _PREPENDED + one, "", 3) for sort, one in _HANGUL.items()}
    vowels = np.intersect1d(follows[_LEADING], follows[_VOWEL])
    result[np.setdiff1d(follows[_LEADING], vowels)] |= _LEADING << SORTS
    result[vowels] |= _VOWEL << SORTS
    result[follows[_TRAILING]] |= _TRAILING << SORTS
    result[those_with(others, "", _VIRAMA + _KA + _ACUTE, 4)] |= CONSONANT
    result[those_with(extending, _KA, _KA + _ACUTE, 4)] |= LINKER | IN_CONJUNCT
    result[those_with(extending, _KA + _VIRAMA, _KA + _ACUTE, 5)] |= IN_CONJUNCT
    result[those_with(others, _COPYRIGHT + chr(JOINER), "", 3)] |= PICTOGRAPH
    result[those_with(extending, _COPYRIGHT, chr(JOINER) + _COPYRIGHT + _ACUTE, 5)] |= IN_EMOJI
    return result


def combines() -> np.ndarray:
    """Code points that can be in a cluster below six bytes with another, one of each such pair."""
    found = properties()
    extends = found & _EXTENDING << SORTS != 0
    return np.flatnonzero(extends | (found & (_ANY | _LINE_FEED) != 0))


def _probe() -> normalizers.Precompiled:
    """A normaliser that makes "Z" of each cluster below six bytes, else of each character.

    Its map replaces all first bytes of characters but U+0000 and U+0001, so all that follows in
    the cluster vanishes with them. Layout of the units: `charsmap`.
    """
    children, leaves = 256, 768
    units = np.zeros(1024, np.uint32)
    units[0] = children << 10
    byte = np.arange(2, 256)
    units[children ^ byte] = (children ^ leaves) << 10 | 1 << 8 | byte
    units[leaves ^ byte] = 1 << 31
    return normalizers.Precompiled(np.uint32(units.nbytes).tobytes() + units.tobytes() + b"Z\0")
