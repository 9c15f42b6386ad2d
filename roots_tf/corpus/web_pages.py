"""Web pages from bytes: which encoding a page is in, whatever it says about itself."""

import codecs
import re

from roots_tf.corpus import decoding
from roots_tf.storage import encodings
from roots_tf.storage.files import InputError

PRESCAN_BYTES = 1024  # WHATWG HTML, 13.2.3.3 "Prescan a byte stream to determine its encoding"
DETECTION_BYTES = 1 << 17
_DECLARED = re.compile(
    rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]+)"
    rb"|<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_:.-]+)",
    re.IGNORECASE,
)
# The encodings of WHATWG's standard by Python's names. Others, such as UTF-7, no browser knows.
_KNOWN = {
    *("utf-8", "gb18030", "big5hkscs", "cp932", "euc_jp", "iso2022_jp", "cp949", "cp866"),
    *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "cp874", "utf-16-le", "utf-16-be"),
    *(f"cp{number}" for number in range(1250, 1259)),
    *(f"iso8859-{number}" for number in (*range(2, 9), 10, 13, 14, 15, 16)),
}
# A declared encoding that cannot decode more than this share of the bytes is not believed.
MAX_UNDECODABLE = 0.001


def decode(data: bytes, charset: str | None = None) -> str:
    """Text of a page, with newlines as they come.

    The encoding is that of a byte order mark; else UTF-8 if the bytes can be nothing else; else
    what the HTTP header or the page declares, unless the bytes contradict it; else the likeliest
    by statistics.

    >>> decode(b'<meta charset="iso-8859-1">\\x93caf\\xe9\\x94')
    '<meta charset="iso-8859-1">“café”'

    Args:
        data: the bytes.
        charset: parameter of the HTTP header Content-Type.

    Raises:
        InputError: statistics are needed, and the library resiliparse is not installed.
    """
    mark, encoding = encodings.byte_order_mark(data[:4])
    if mark:
        return data[len(mark) :].decode(encoding, "replace")
    declared = _DECLARED.search(data[:PRESCAN_BYTES])
    inside = next(filter(None, declared.groups())).decode() if declared else None
    labels = [python_name(charset or ""), python_name(inside or "")]
    if labels[1] and labels[1].startswith("utf-16"):  # could not have been read here if it were
        labels[1] = "utf-8"
    # ISO-2022-JP is ASCII with escapes, UTF-16 of English is ASCII with a NUL between.
    if not (data.isascii() and (b"\x1b" in data or b"\0" in data)):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
    for encoding in (*labels, "utf-8"):
        if encoding:
            text = data.decode(encoding, "replace")
            if text.count(decoding.REPLACEMENT) <= MAX_UNDECODABLE * len(text):
                return text
    return data.decode(_detect(data), "replace")


def python_name(label: str) -> str | None:
    """Python's name of an encoding that a page declares; None for one that browsers do not know.

    >>> python_name("Latin1"), python_name("x-sjis"), python_name("utf-7")
    ('cp1252', 'cp932', None)
    """
    label = label.strip().lower().removeprefix("x-").replace("sjis", "shift_jis")
    label = label.replace("windows-874", "cp874").replace("ks_c_5601-1987", "euc_kr")
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    name = encodings.LARGER.get(name, name)
    return name if name in _KNOWN else None


def _detect(data: bytes) -> str:
    try:
        from resiliparse.parse.encoding import detect_encoding
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "found no package resiliparse, which tells the encoding of a web page that does not; "
            "install it: pip install 'roots-tf[curation]'",
        ) from error
    encoding = detect_encoding(data, DETECTION_BYTES, html5_compatible=False)
    return python_name(encoding or "") or "cp1252"
