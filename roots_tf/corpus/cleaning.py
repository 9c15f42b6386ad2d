"""Unicode repair: one way to write a text, without the characters that nobody sees."""

import re
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_REMOVED = None
_CONTROLS = {code: _REMOVED for code in (*range(9), *range(14, 32), 127)}
_CONTROLS |= {0x0B: " ", 0x0C: " ", 0x2028: "\n", 0x2029: "\n\n"}
# C1 controls are windows-1252 letters that were decoded as Latin-1; browsers read them so too
# (WHATWG HTML standard, "numeric character reference end state").
_C1 = {c: bytes([c]).decode("windows-1252", "ignore") or _REMOVED for c in range(0x80, 0xA0)}
_SPACES = {code: " " for code in (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)}
# Soft hyphen, zero-width space, word joiner and other invisible operators, byte order mark, marks
# of writing direction. The zero-width joiner and non-joiner stay: they spell words in Persian and
# in Indic scripts.
_INVISIBLE = {
    code: _REMOVED
    for code in (
        *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
    )
}
_LONE_SURROGATES = {code: REPLACEMENT for code in range(0xD800, 0xE000)}  # JSON can spell them
_REPAIRS = _CONTROLS | _C1 | _SPACES | _INVISIBLE | _LONE_SURROGATES
_TO_REPAIR = re.compile("[" + "".join(map(chr, sorted(_REPAIRS))) + "]")


def repair(text: str) -> str:
    """Text in NFC without control, invisible and unusual space characters; lines end in "\\n".

    >>> repair("\\ufeffcafe\\u0301\\r\\nnai\\u00adve\\x00 \\x93yes\\x94\\u00a0\\u200b")
    'café\\nnaive “yes” '
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _TO_REPAIR.sub(lambda found: _REPAIRS[ord(found[0])] or "", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)
