"""Chinese personal data by form and check digit: identity numbers, telephones, licence plates.

None of it is set off by spaces in Chinese text, so every pattern looks at the letters beside it.
"""

import datetime
import re
from collections.abc import Iterable, Iterator

Lines = Iterable[tuple[int, int]]  # characters [start, end) of a text

# A number may be written in full-width digits: １３８１２３４５６７８.
_FULL_WIDTH = re.compile("[０-９]")
_HALF_WIDTH = {
    ord(wide): narrow for wide, narrow in zip("０１２３４５６７８９Ｘ", "0123456789X", strict=True)
}

# GB 11643-1999: region, date of birth, number in the order of registration, check digit. The first
# two digits are the province (GB/T 2260).
_IDENTITY = re.compile(
    r"(?<![0-9A-Za-z])(?<!\d[-.,])"
    r"(?P<region>(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])\d{4})[ -]?"
    r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)[ -]?"
    r"\d{3}[\dXx](?![0-9A-Za-z]|[-.,]\d)"
)
_LAST_YEAR = 2040  # that somebody in a text can be born in; the output must not depend on today
# Only after the word: nine signs of a passport are those of any other number.
_PASSPORT = re.compile(
    r"(?:护照|護照)(?:号码|號碼|号|號)?(?:是|为|為)?[ ：:]{0,2}"
    r"([EeGg]\d{8}|[Ee][A-HJ-NP-Za-hj-np-z]\d{7}|[DSPdsp][Ee]?\d{7})(?![0-9A-Za-z])"
)

_NOT_BEFORE = r"(?<![0-9A-Za-z_$¥￥€£#])(?<!\d[-.,: ])(?<![A-Za-z][-+])"
_NOT_AFTER = r"(?![0-9A-Za-z_]|[-.,]\d|[-.]?[A-Za-z0-9]|@)"
_COUNTRY = r"(?:[(（]?(?:\+|00)?86[)）]?[ -]?)?"
# 138 1234 5678, 138-1234-5678, +86 13812345678 (Ministry of Industry: numbers of 11 digits).
_MOBILE = re.compile(rf"{_NOT_BEFORE}{_COUNTRY}1[3-9]\d(?:[ -]?\d{{4}}){{2}}{_NOT_AFTER}")
# 010-12345678, （0755）8888 8888, 021 6543210, with an extension.
_LANDLINE = re.compile(
    rf"{_NOT_BEFORE}(?:{_COUNTRY}[(（]?0?(?<=0)(?:10|2\d|[3-9]\d\d)[)）]?[ -]{{0,2}}"
    r"[2-8]\d{2,3}[ -]?\d{4}|400[ -]\d{3}[ -]\d{4})"
    rf"(?:(?:转|轉|-)\d{{1,5}})?{_NOT_AFTER}"
)
_NAMED = re.compile(
    r"(?:电话|電話|传真|傳真|热线|熱線|座机|手机号?|手機號?|致电|致電|拨打|撥打)"
    r"(?:号码|號碼|号|號)?(?:是|为|為)?[ ：:]{0,2}([2-9]\d{2,3}[ -]?\d{4}|1[3-9]\d{9})"
    rf"{_NOT_AFTER}"
)
_YEARS = re.compile(r"(?:1[89]|20)\d\d[ -](?:1[89]|20)\d\d")
_NO_PHONE = re.compile(
    r"(?:[订訂運运快递遞货貨发發票流水][单單号號票]?[单單]?|编|編|账|賬|帐|卡|序|货|貨|型|学|學|工|证|證|批|案|文|期|群)"
    r"(?:号|號)(?:码|碼)?(?:是|为|為)?[ ：:#]{0,2}$|(?:QQ|qq|ISBN|ISSN|ID|SKU)[ ：:号]{0,2}$"
)

# GA 36-2018: province, authority, five signs, of which at most two are letters; six with electric
# and other new engines, of which the first or the last says the kind. No I and no O.
_PROVINCES = (
    "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼滬遼魯蘇贛鄂陝閩貴瓊寧雲"
)
_PLATE = re.compile(
    rf"([{_PROVINCES}][A-HJ-NP-Z])([·•. -]?)"
    r"([A-HJK]\d{5}|[A-HJK][A-HJ-NP-Z]\d{4}|\d{5}[A-HJK]|[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂掛学學警港澳领領])"
    r"(?![0-9A-Za-z])"
)
_VEHICLE = re.compile(r"车|車|牌|驾|駕|駛|驶")
_NEAR = 12  # characters before a plate that may name it


def _matches(pattern: re.Pattern, text: str, lines: Lines) -> Iterator[re.Match]:
    """Matches of a pattern in some lines of a text."""
    for start, end in lines:
        yield from pattern.finditer(text, start, end)


def resident_check_digit(digits: str) -> str:
    """The last sign of an identity number (ISO 7064 MOD 11-2), of its first 17 digits.

    >>> resident_check_digit("11010519491231002")
    'X'
    """
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(digits[:17]))
    return "10X98765432"[total % 11]


def identity_numbers(text: str, lines: Lines) -> Iterator[tuple[int, int]]:
    """Places of resident identity numbers, with a date and a check digit that hold, and passports.

    Args:
        text: any text.
        lines: where those of its lines are that have many digits.
    """
    text = text.translate(_HALF_WIDTH) if _FULL_WIDTH.search(text) else text
    for match in _matches(_IDENTITY, text, lines):
        sign = re.sub("[ -]", "", match[0]).upper()
        try:
            born = datetime.date(*(int(match[part]) for part in ("year", "month", "day")))
        except ValueError:
            continue
        if born.year <= _LAST_YEAR and sign[-1] == resident_check_digit(sign):
            yield match.span()
    for match in _matches(_PASSPORT, text, lines):
        yield match.span(1)


def phones(text: str, lines: Lines) -> Iterator[tuple[int, int]]:
    """Places of mobile numbers, of numbers with an area code and of those that are named.

    Args:
        text: any text.
        lines: where those of its lines are that have many digits.
    """
    text = text.translate(_HALF_WIDTH) if _FULL_WIDTH.search(text) else text
    for pattern in (_MOBILE, _LANDLINE):
        for match in _matches(pattern, text, lines):
            if not _NO_PHONE.search(text, max(match.start() - 12, 0), match.start()):
                yield match.span()
    for match in _matches(_NAMED, text, lines):
        if not _YEARS.fullmatch(match[1]):
            yield match.span(1)


def licence_plates(text: str) -> Iterator[tuple[int, int]]:
    """Places of plates; without a dot or a word for a vehicle nearby, digits must be most of it.

    The names of Xinjiang and Yunnan also mean "new" and "cloud", as in 新GB18030: such a plate has
    a dot or the word.

    Args:
        text: any text.
    """
    for match in _PLATE.finditer(text):
        signs = match[3]
        letters = sum(sign.isascii() and sign.isalpha() for sign in signs)
        named = match[2] in "·•" and match[2]
        near = text[max(match.start() - _NEAR, 0) : match.start()]
        named = named or bool(_VEHICLE.search(near))
        if letters > (3 if named else 2) or (match[1][0] in "新云雲" and not named):
            continue
        if match[2] == "." and not named:
            continue
        yield match.span()
