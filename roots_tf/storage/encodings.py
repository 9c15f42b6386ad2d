"""Which encoding a text is in: by name, by the mark it starts with, or by what it would say.

A guess decodes the bytes in each encoding that languages are written in, and asks how much the
result looks like one of these languages: whether its letters are those that the language uses
most, whether capitals begin words, whether a word is of one script. `charset-normalizer` says what
the bytes of languages that are not listed here may be.
"""

import codecs
import re
import shlex
from typing import NamedTuple

from roots_tf import spelling
from roots_tf.storage.files import InputError

# The four-byte marks come first: the UTF-32 mark begins with the UTF-16 one.
BYTE_ORDER_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
# Names that files go by for a larger encoding (WHATWG Encoding, 4.2 "Names and labels").
LARGER = {
    **dict.fromkeys(("ascii", "iso8859-1", "latin-1"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **{"big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949"},
    **{"utf-16": "utf-16-le", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874"},
}
_NO_TEXT = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"}
# Bytes of these are no ASCII, or a line end among them may be part of another letter.
_CUT_NOWHERE = re.compile(r"utf-(16|32)|hz|iso2022|cp(037|1026|1140|273|424|500|875)$")
# What the encoding of most old files has ahead of others: one accent may be a letter in several.
_USUAL = 0.1
GUESSED_BYTES = 1 << 12
# A text of this many letters beyond ASCII that is UTF-8 throughout is in no other encoding.
_CERTAINLY_UTF8 = 12


class _Language(NamedTuple):
    """Its letters beyond ASCII, the most frequent first, and encodings it is written in."""

    letters: str
    encodings: tuple[str, ...]


_WEST = ("cp1252", "mac-roman", "cp850", "cp437")
_CENTRE = ("cp1250", "iso8859-2", "cp852")
_CYRILLIC = ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic")
_LANGUAGES = {
    "Chinese": _Language(
        "的一是不了在有人我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小"
        "么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知"
        "今很气现电影片剧演员真情但实意感觉法体新问最",
        ("gb18030",),
    ),
    "traditional Chinese": _Language(
        "的一是不了在有人我他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她裡後小"
        "麼心多天而能好都然沒日於起還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知"
        "今很氣現電影片劇演員真情但實意感覺法體新問最",
        ("big5hkscs",),
    ),
    "Japanese": _Language(
        "のいるたはにとしてをがなでかすれまこらあもっりそくどさだうきえよみけせつんおめやろわちじじゃょ"
        "ンスルトーイアラリクシックドロレタマコテ日人本今時分年大",
        ("cp932", "euc_jp"),
    ),
    "Korean": _Language(
        "이다는의에을가고지은하를한기사로도아리서니나인해대자어시들으그수전일정과만안보여있라부장제게원무주말우"
        "구거국오것진공조면없성유모습선좋았했었영화습요너네",
        ("cp949",),
    ),
    "French": _Language("éèàêçùâîôûëïœüæ", _WEST),
    "German": _Language("üäößé", _WEST),
    "Spanish": _Language("óíáéñúü", _WEST),
    "Portuguese": _Language("ãçáéíóõêâúàôü", _WEST),
    "Italian": _Language("àèùìòé", _WEST),
    "Catalan": _Language("àéòèíóçúïü·", _WEST),
    "Nordic": _Language("åäöøæéü", _WEST),
    "Icelandic": _Language("áíðéöúþýóæ", ("cp1252",)),
    "Polish": _Language("łążęóśćńź", _CENTRE),
    "Czech": _Language("íáěéščřžýůúťďňó", _CENTRE),
    "Hungarian": _Language("áéöóőüíúű", _CENTRE),
    "Croatian": _Language("čšžćđ", _CENTRE),
    "Romanian": _Language("ăîţâşșț", ("cp1250", "iso8859-16", "iso8859-2")),
    "Turkish": _Language("ıışüğçöâ", ("cp1254",)),
    "Baltic": _Language("āšėīįųžēčūņķļģąęõäöü", ("cp1257", "iso8859-13")),
    "Vietnamese": _Language("đưàôáươêâăéóíèúùò", ("cp1258",)),
    "Russian": _Language("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", _CYRILLIC),
    "Ukrainian": _Language("оанивтреслкідмупязьгбчхйїцжюєшщфґ", ("cp1251", "koi8-u", "cp1125")),
    "Greek": _Language("αοιετσνηυρπκμλςίόάδγέήωχθύφώβξζψϊ", ("cp1253", "iso8859-7")),
    "Hebrew": _Language("יוהלאמתרבנשםדקעחפכגטןזסצךףץ", ("cp1255", "iso8859-8")),
    "Arabic": _Language("المينرتبوةعدسفهكقحجأىصشطخضذزثإغئءآظؤ", ("cp1256", "iso8859-6")),
    "Thai": _Language("านรกอเงมยลวดท่สต้ปบคหแจพชขใไผโซศณธฟถฐภษุัิีืู็์ำะ", ("cp874",)),
}
_SHOWN = {
    **{"gb18030": "GB18030", "big5hkscs": "Big5", "cp932": "Shift_JIS", "euc_jp": "EUC-JP"},
    **{"cp949": "EUC-KR", "iso2022_jp": "ISO-2022-JP", "cp874": "TIS-620", "cp866": "CP866"},
    **{f"cp{number}": f"Windows-{number}" for number in range(1250, 1259)},
    **{
        f"utf-{bits}-{end}": f"UTF-{bits}{end.upper()}" for bits in (16, 32) for end in ("le", "be")
    },
    "utf-8-sig": "UTF-8",
}
# gzip, zstd, xz, bzip2, zip (and so Excel's .xlsx), PDF, Parquet.
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"PK\3\4", b"%PDF", b"PAR1")
_PUNCTUATION = "“”‘’„«»…–—、。，！？：；（）《》「」『』・·．\u00a0\u3000¿¡§°№€£"
_WORD = re.compile(r"[^\W\d_]+")


def python_name(name: str) -> str:
    """Python's name of an encoding of texts, or of a larger one that files call by that name.

    >>> python_name("GB2312"), python_name("Latin-1"), python_name("windows-1251")
    ('gb18030', 'cp1252', 'cp1251')

    Raises:
        InputError: there is no such encoding.
    """
    try:
        found = codecs.lookup(name.strip().lower())
    except (LookupError, ValueError) as error:
        raise _unknown(name) from error
    if found.name.replace("_", "-") in _NO_TEXT or not found._is_text_encoding:
        raise _unknown(name)
    return LARGER.get(found.name, found.name)


_FREQUENT = (
    *("UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "ASCII", "Latin-1", "Windows-1252", "KOI8-R"),
    *("Windows-1251", "GB18030", "GBK", "GB2312", "Big5", "Shift_JIS", "EUC-JP", "EUC-KR"),
)


def _unknown(name: str) -> InputError:
    return InputError(
        "not-text",
        f"found --encoding={name}; wanted the name of an encoding, such as GB18030, Big5, "
        "Shift_JIS, EUC-KR, UTF-16LE, Windows-1252 or KOI8-R"
        f"{spelling.suggestion(name, _FREQUENT)}",
    )


def shown_name(encoding: str) -> str:
    """What people, `iconv` and `--encoding` call an encoding that has Python's name.

    >>> shown_name("cp949"), shown_name("koi8-r")
    ('EUC-KR', 'KOI8-R')
    """
    return _SHOWN.get(encoding, encoding.replace("iso8859", "iso-8859").upper())


def byte_order_mark(head: bytes) -> tuple[bytes, str]:
    """The mark that a file starts with (empty if none) and the encoding that follows from it.

    >>> byte_order_mark(b"\\xff\\xfeH\\x00")
    (b'\\xff\\xfe', 'utf-16-le')
    """
    return next(((m, e) for m, e in BYTE_ORDER_MARKS if head.startswith(m)), (b"", "utf-8"))


def ends_lines_alike(encoding: str) -> bool:
    """Whether a line feed is the byte that it is in ASCII, and no other letter holds that byte."""
    return not _CUT_NOWHERE.match(encoding)


def check_not_utf8(path: str, data: bytes, encoding: str) -> None:
    """Refuses bytes that are UTF-8 beyond doubt where another encoding was asked for.

    Args:
        path: of the file, for the message.
        data: of it.
        encoding: Python's name of the one that was asked for.

    Raises:
        InputError: they are; in the other encoding they would be letters without sense.
    """
    if encoding in ("utf-8", "utf-8-sig") or data.isascii():
        return
    text = data[:GUESSED_BYTES].decode("utf-8", "ignore")
    beyond = sum(not letter.isascii() for letter in text)
    lost = len(data[:GUESSED_BYTES]) - len(text.encode())
    if beyond >= _CERTAINLY_UTF8 and lost <= 3 and "\0" not in text:  # a letter cut by the end
        raise InputError(
            "not-text",
            f"found UTF-8 in {path}; wanted {shown_name(encoding)}, which --encoding gives: read "
            "it in a command of its own, without --encoding",
        )


def advice(path: str, data: bytes) -> str:
    """What to do with a text that is not UTF-8, for the end of a message.

    Args:
        path: of the file.
        data: its beginning, or where it is no UTF-8.
    """
    if data.startswith(_PACKED):
        return "it is no text: unpack it, export it as text, or give it the suffix of what it is"
    encoding = guess(data)
    if encoding is None:
        return (
            "it is in another encoding: give its name with --encoding, or convert it to UTF-8 with "
            "iconv"
        )
    name = shown_name(encoding)
    return (
        f"it looks like {name}: give --encoding={name} where the program has it, or convert it: "
        f"iconv -f {name} -t UTF-8 {shlex.quote(path)}"
    )


def guess(data: bytes) -> str | None:
    """Python's name of the likeliest encoding of a text that is not UTF-8; None: nobody knows.

    Args:
        data: the text, or some of it: 4 KiB are looked at.
    """
    data = data[:GUESSED_BYTES]
    if mark := byte_order_mark(data[:4])[0]:
        return byte_order_mark(mark)[1]
    if wide := _utf16(data):
        return wide
    if b"\0" in data:
        return None
    if data.isascii():
        return "iso2022_jp" if b"\x1b$" in data else None
    if len(data) == GUESSED_BYTES:  # may end within a letter
        data = data[: data.rfind(b"\n") + 1] or data
    best, likeliest = 0.0, None
    for language in _LANGUAGES.values():
        for encoding in language.encodings:
            try:
                text = data.decode(encoding)
            except ValueError:
                continue
            score = _likeness(text, language.letters) + (_USUAL if encoding == "cp1252" else 0)
            if score > best:
                best, likeliest = score, encoding
    return likeliest if best > 0.45 else _of_other_languages(data)


def _of_other_languages(data: bytes) -> str | None:
    """The guess of `charset-normalizer`."""
    import charset_normalizer

    match = charset_normalizer.from_bytes(data).best()
    if match is None or match.encoding.startswith("utf"):
        return None
    try:
        return python_name(match.encoding)
    except InputError:
        return None


def _utf16(data: bytes) -> str | None:
    """UTF-16 without a mark: one of the two byte orders gives letters and the marks between."""
    if len(data) < 4 or len(data) % 2 and len(data) < GUESSED_BYTES:
        return None
    shares = {}
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = data[: len(data) // 2 * 2].decode(encoding)
        except ValueError:
            continue
        usual = sum(_is_usual(letter) for letter in text)
        marks = sum(letter in " \n\t" or letter in _PUNCTUATION for letter in text)
        if usual >= 0.97 * len(text) and (marks or b"\0" in data):
            shares[encoding] = usual / len(text)
    return max(shares, key=shares.get, default=None)


def _is_usual(letter: str) -> bool:
    """Whether a letter is one of the scripts that most text is in."""
    point = ord(letter)
    return (
        letter in "\n\r\t"
        or 0x20 <= point < 0x7F
        or 0xA0 <= point < 0x700
        or 0xE00 <= point < 0xE80
        or 0x2010 <= point < 0x2040
        or 0x3000 <= point < 0x3100
        or 0x4E00 <= point < 0xA000
        or 0xAC00 <= point < 0xD7A4
        or 0xFF00 <= point < 0xFF60
    )


def _likeness(text: str, letters: str) -> float:
    """How much a text looks like a language, a mean over the characters beyond ASCII.

    Args:
        text: decoded in one of the encodings of the language.
        letters: of the language, the most frequent first.
    """
    ranks = {letter: rank for rank, letter in reversed([*enumerate(letters)])}
    wide = len(letters) > 60  # a script of thousands of letters, of which these are the common ones
    total = count = 0
    for word in _WORD.findall(text):
        beyond = [letter for letter in word if not letter.isascii()]
        if not beyond:
            continue
        count += len(beyond)
        total += sum(_weight(letter, ranks, wide) for letter in beyond)
        if not wide and not _is_cased_as_usual(word):
            total -= len(beyond)
        if ranks and len(beyond) < len(word) and ord(letters[0]) > 0x36F and not wide:
            total -= len(beyond)  # Latin letters in a word of another script
    for letter in _WORD.sub("", text):
        if not letter.isascii():
            count += 1
            total += 0.7 if letter in _PUNCTUATION else -1.0
    return total / count if count else 0.0


def _weight(letter: str, ranks: dict[str, int], wide: bool) -> float:
    """What one letter says for a language, from -0.5 to 1.5."""
    rank = ranks.get(letter.lower())
    if wide:
        if rank is not None:
            return 1.5
        korean = min(ranks) >= "\uac00"
        if "\u3040" <= letter < "\u3100":
            return 0.6 if "の" in ranks else -0.5
        if "\uac00" <= letter < "\ud7a4":
            return 0.6 if korean else -0.5
        return 0.5 if "\u4e00" <= letter < "\ua000" and not korean else -0.5
    if rank is None:
        return -0.5
    return 1.2 - rank / len(ranks)


def _is_cased_as_usual(word: str) -> bool:
    """Whether a word is lower-case, upper-case or capitalised."""
    return word.islower() or word.isupper() or word.istitle() or word.lower() == word.upper()
