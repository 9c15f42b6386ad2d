"""Personal data and secrets in a text, found by their form and check digits, and replaced.

Every pattern begins where none of its own characters stands before, and repeats a bounded number
of times: the time is linear in the text, whatever it is. Most lines hold none of the few characters
that a kind cannot do without, and are done with after these were looked for.
"""

import contextlib
import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from roots_tf import spelling
from roots_tf.corpus import chinese_personal_data
from roots_tf.corpus.documents import Document
from roots_tf.storage.files import InputError


class Match(NamedTuple):
    """A piece of personal data: characters [start, end) of the text."""

    start: int
    end: int
    kind: str


# Letters, digits and "_"; those of scripts without spaces stand beside an address or number without
# being part of it: 邮箱ann@example.com谢谢.
_OTHER = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u3190-\u4dbf\u4e00-\ua4cf\uf900-\ufaff"
    "\uff66-\uff9d\U00020000-\U0003ffff"
)
_W = rf"[^\W{_OTHER}]"
_NAME = rf"[^\W_{_OTHER}]"  # letters and digits


def _compile(pattern: str, flags: int = 0) -> re.Pattern:
    r"""A pattern whose `\b` at its ends and `\w` after `(?!` and `(?<!` are `_W`.

    Args:
        pattern: for example `(?<![\w.])\d+(?!\w)`.
        flags: of `re`.
    """
    pattern = re.sub(
        r"\(\?(<?)!\[\\w([^\]]*)\]",
        lambda found: f"(?{found[1]}!(?:{_W}" + (f"|[{found[2]}])" if found[2] else ")"),
        pattern.replace(r"(?!\w)", f"(?!{_W})"),
    )
    pattern = re.sub(r"^\\b", lambda found: f"(?<!{_W})", pattern)
    return re.compile(re.sub(r"\\b$", lambda found: f"(?!{_W})", pattern), flags)


# Names of files that look like the domain of an address: "logo@2x.png".
_FILES = "png|jpe?g|gif|svg|webp|avif|ico|css|js|json|html?|php|py|txt|pdf|zip|mp[34]"
_EMAIL = _compile(
    rf"(?<![\w.+%'*-]){_NAME}(?:(?:{_W}|[.+%&'-]){{0,62}}(?:{_W}|[+-]))?@"
    rf"(?:{_NAME}(?:(?:{_W}|-){{0,61}}{_NAME})?\.){{1,8}}(?!(?:{_FILES})(?!\w))"
    rf"[^\W\d_{_OTHER}]{{2,24}}(?![\w@]|:[\w~/])"
)

_IPV4 = _compile(
    r"(?<![\w.$€£-])(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}"
    r"(?![\w-]|\.\d|,\d)"
)
# Addresses in use are in 2000::/3 (RFC 4291, section 2.4).
_IPV6 = _compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:])")
_DOTTED = re.compile(r"\d\.\d{1,3}\.\d")  # without what looks back, ten times as fast
_COLONS = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]")
_DOCUMENTATION = ipaddress.ip_network("2001:db8::/32")  # RFC 3849
_VERSION = re.compile(
    r"(?:\bv|\bver|version|release|build|kernel|firmware|driver|rev(?:ision)?|update|section|clause|"
    r"chapter|article|§|art|para(?:graph)?|\w/)[.:]?\s?$",
    re.IGNORECASE,
)
_NETWORK = re.compile(r"\b(?:ip|ips|address|server|host|gateway|ping|peer|client)\W{1,3}$", re.I)

_CARD = _compile(
    r"(?<![\w.+-])(?:"
    r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}"
    r")(?![\w-]|[.,]\d)"
)
# Issuer identification numbers: ISO/IEC 7812, ranges as the networks publish them, with the
# lengths of their numbers.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]\d|095|[689]\d\d)\d{10}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
)

_BEGINS_NAME = re.compile(_NAME)
_IBAN = re.compile(rf"(?<!{_NAME})[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]){{11,30}}")
# Lengths by country: SWIFT, IBAN Registry (ISO 13616).
_IBAN_LENGTHS = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29
ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20
LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25
QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_LENGTH_OF_IBAN = {entry[:2]: int(entry[2:]) for entry in _IBAN_LENGTHS.split()}

# A number as it stands in international form (ITU-T E.123), in the form of North America, with
# the 0 of a long-distance call before it, or after a word that says what it is.
_INTERNATIONAL = _compile(
    r"(?<![\w+.,$€£-])(?<!\d )(?:\(?\+|00(?=[1-9]))\(?[1-9](?:[ .\-/()\u00a0]{0,2}\d){6,14}(?!\w)"
)
_NORTH_AMERICAN = _compile(
    r"(?<![\w.,$€£#+-])(?:1[-. ])?(?:\([2-9]\d{2}\)[ -]?|[2-9]\d{2}([-.]))[2-9]\d{2}[-. ]\d{4}"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w]|[-.,]\d)"
)
_TRUNK = _compile(
    r"(?<![\w.,$€£#+/-])(?:"
    r"0[1-9]([ .-])\d{2}(?:\1\d{2}){3}"  # 01 23 45 67 89
    r"|(?:\(0[1-9]\d{0,4}\)|0[1-9]\d{1,4})[ /-]{1,3}\d{3,4}[ -]?\d{3,5}"  # (020) 7946 0958
    r"|0[1-9]-\d{4}-\d{4}"
    r"|0[1-9]\d{8,9}"
    r")(?![\w]|[-.,/]\d)"
)
_NAMED = _compile(
    r"\b(?:tel|telephone|phone|fax|mobile|cell|call(?: us)?(?: at| on)?|whatsapp|telefon|tél|"
    r"téléphone|teléfono|telefono|telefone|handy|hotline|dial|тел)\b"
    r"[ .:]{0,3}(?:(?:no|nr|number|is)\b[ .:]{0,2}){0,2}(\(?\d(?:[ .\-/()]{0,2}\d){5,14})"
    r"(?![\w]|[-.,]\d)",
    re.IGNORECASE,
)
_NO_PHONE = re.compile(
    r"\b(?:isbn|issn|doi|ean|upc|sku|asin|order|invoice|tracking|serial|part|item|ref|reference|case|"
    r"ticket|article|model|account|patent|docket|id|no|nr|number|between|from|pages?|pp)"
    r"(?:\b[ .:#]{0,3}(?:no|nr|number|code|id)?\b)?[ .:#(]{0,3}$",
    re.IGNORECASE,
)

# Forms that the issuers document for scanners of leaked keys, and a piece that each must have.
_GAP = r"(?:\s|\\n){1,4}"  # as a key of several lines is quoted
_SECRETS = {
    rf"-----BEGIN [A-Z ]{{0,24}}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_GAP}(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n]{{0,80}}){{0,4}}"
    rf"(?:{_GAP}[A-Za-z0-9+/=]{{16,80}}(?=\s|\\|-|$)){{1,200}}+"
    rf"(?:{_GAP}[A-Za-z0-9+/=]{{1,80}})?(?:{_GAP}-----END [A-Z ]{{0,40}}-----)?": "PRIVATE KEY",
    r"\bAKIA(?![A-Z0-9]{9}EXAMPLE)[A-Z2-7]{16}\b": "AKIA",
    r"\bASIA[A-Z2-7]{16}\b": "ASIA",
    r"(?<=ecret_access_key)\W{1,5}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])": "ecret_access_key",
    r"\bghp_[A-Za-z0-9]{36,255}\b": "ghp_",  # personal
    r"\bgho_[A-Za-z0-9]{36,255}\b": "gho_",  # OAuth
    r"\bghs_[A-Za-z0-9]{36,255}\b": "ghs_",  # server to server
    r"\bgithub_pat_\w{22,255}\b": "github_pat_",
    r"(?<![\w-])glpat-[\w-]{20,64}": "glpat-",
    r"(?<![\w-])xox[abeoprs]-[A-Za-z0-9-]{10,250}": "xox",
    r"\bhooks\.slack\.com/services/[A-Za-z0-9/]{40,80}": "hooks.slack",
    r"(?<![\w-])AIza[\w-]{35}(?![\w-])": "AIza",
    r"\b[sr]k_live_[A-Za-z0-9]{16,128}": "k_live_",
    # "desk-" and "task-" are in most books: a literal in front is searched for ten times as fast.
    r"sk-(?<![\w-]sk-)(?=[\w-]{0,60}\d)(?:proj-|ant-)?[\w-]{32,200}": "sk-",
    r"(?<![\w-])eyJ[\w-]{10,2000}+\.eyJ[\w-]{10,4000}+\.[\w-]{10,1000}": "eyJ",
    r"\bnpm_[A-Za-z0-9]{36}\b": "npm_",
    r"(?<![\w-])pypi-AgE[\w-]{50,250}": "pypi-AgE",
    r"\bhf_[A-Za-z0-9]{34}\b": "hf_",
    r"\bSG\.[\w-]{22}\.[\w-]{43}": "SG.",
}
_SECRET_PATTERNS = {_compile(pattern): mark for pattern, mark in _SECRETS.items()}
_SEVEN_DIGITS = re.compile(r"\d(?:[ ()（）.\-/\u00a0]{0,3}\d){6}")
_DIGIT = re.compile(r"\d")


_AT = re.compile("@")


@functools.lru_cache(maxsize=1)  # three kinds ask of one text in turn
def _with_many_digits(text: str) -> tuple[tuple[int, int], ...]:
    return tuple(_lines_with(_SEVEN_DIGITS, text))


def _lines_with(mark: re.Pattern, text: str) -> Iterator[tuple[int, int]]:
    """Lines that contain a mark: few, so that a slow pattern is tried on these alone."""
    end = 0
    while match := mark.search(text, end):
        start = text.rfind("\n", end, match.start()) + 1 or end
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        yield start, end


def _in(spans: Iterable[tuple[int, int]], pattern: re.Pattern, text: str) -> Iterator[re.Match]:
    for span in spans:
        yield from pattern.finditer(text, *span)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(d - 9 * (d > 9) for d in doubled)) % 10 == 0


def mod_97(iban: str) -> bool:
    """Whether the check digits of an account number hold (ISO 13616, ISO 7064 MOD 97-10).

    >>> mod_97("DE89370400440532013000"), mod_97("DE88370400440532013000")
    (True, False)
    """
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    for pattern, mark in _SECRET_PATTERNS.items():
        for match in pattern.finditer(text) if mark in text else ():
            yield match.span()


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for match in _in(_lines_with(_AT, text), _EMAIL, text):
        yield match.span()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _in(_with_many_digits(text), _IBAN, text):
        length = _LENGTH_OF_IBAN.get(match[0][:2], 0)
        letters = [place for place, letter in enumerate(match[0]) if letter != " "]
        if not 0 < length <= len(letters):
            continue
        end = match.start() + letters[length - 1] + 1
        if not _BEGINS_NAME.match(text, end) and mod_97(text[match.start() : end].replace(" ", "")):
            yield match.start(), end


def _identity_numbers(text: str) -> Iterator[tuple[int, int]]:
    yield from chinese_personal_data.identity_numbers(text, _with_many_digits(text))


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _in(_with_many_digits(text), _CARD, text):
        digits = match[0].replace(" ", "").replace("-", "")
        if _ISSUERS.fullmatch(digits) and luhn(digits):
            yield match.span()


def _ip_addresses(text: str) -> Iterator[tuple[int, int]]:
    for match in _in(_lines_with(_DOTTED, text), _IPV4, text):
        before = text[max(match.start() - 20, 0) : match.start()]
        # Four numbers below 20 are one address in 27,000 and most versions and sections.
        small = all(int(octet) < 20 for octet in match[0].split("."))
        if _VERSION.search(before) or (small and not _NETWORK.search(before)):
            continue
        if ipaddress.ip_address(match[0]).is_global:  # no loopback, private or documentation range
            yield match.span()
    for match in _in(_lines_with(_COLONS, text), _IPV6, text):
        for address in (match[0], match[0].removesuffix(":")):
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(address) not in _DOCUMENTATION:
                    yield match.start(), match.start() + len(address)
                break


def _phones(text: str) -> Iterator[tuple[int, int]]:
    lines = _with_many_digits(text)
    for pattern in (_INTERNATIONAL, _NORTH_AMERICAN, _TRUNK):
        for match in _in(lines, pattern, text):
            before = text[max(match.start() - 24, 0) : match.start()]
            if _NO_PHONE.search(before):
                continue
            if pattern is _INTERNATIONAL and not _is_international(match[0]):
                continue
            if pattern is not _TRUNK or not _is_isbn_10(match[0]):
                yield match.span()
    for match in _in(lines, _NAMED, text):
        if 6 <= len(_DIGIT.findall(match[1])) <= 15:
            yield match.span(1)
    yield from chinese_personal_data.phones(text, lines)


def _is_international(number: str) -> bool:
    """Whether the digits are as many as a country has; and no decimals, which a point may begin."""
    groups = re.findall(r"\d+", number)
    digits = "".join(groups).removeprefix("00")
    if "." in number and max(map(len, groups)) > 4:
        return False
    if digits[0] == "1":  # North America
        return len(digits) == 11 and digits[1] > "1" and digits[4] > "1"
    return 8 <= len(digits) <= 15  # ITU-T E.164: at most 15


def _is_isbn_10(number: str) -> bool:
    """Whether ten digits are those of a book, by their check digit (ISO 2108:1992)."""
    weighted = sum(int(digit) * weight for weight, digit in enumerate(number, 1) if digit.isdigit())
    return len(number) == 10 and number.isdigit() and weighted % 11 == 0


# In order of precedence, where two begin at the same place.
# Identity numbers come before cards: 18 digits that begin with 62 may be either.
_FINDERS: dict[str, tuple[str, Callable[[str], Iterator[tuple[int, int]]]]] = {
    "secrets": ("<SECRET>", _secrets),
    "emails": ("<EMAIL>", _emails),
    "ibans": ("<IBAN>", _ibans),
    "identity_numbers": ("<ID>", _identity_numbers),
    "cards": ("<CARD>", _cards),
    "ip_addresses": ("<IP>", _ip_addresses),
    "phones": ("<PHONE>", _phones),
    "licence_plates": ("<PLATE>", chinese_personal_data.licence_plates),
}
KINDS = tuple(_FINDERS)


def find(text: str, kinds: tuple[str, ...] = KINDS) -> list[Match]:
    """Personal data of a text, in order; none overlaps another.

    >>> find("Ask ann@example.com.")
    [Match(start=4, end=19, kind='emails')]

    Args:
        text: any text.
        kinds: of `KINDS`: keys and tokens, e-mail addresses, bank account numbers with valid check
            digits, Chinese identity numbers and payment card numbers likewise, public IP
            addresses, telephone numbers, Chinese licence plates.
    """
    spans = [
        (start, KINDS.index(kind), -end) for kind in kinds for start, end in _FINDERS[kind][1](text)
    ]
    findings: list[Match] = []
    free = 0
    for start, kind, end in sorted(spans):
        if start >= free:
            free = -end
            findings.append(Match(start, free, KINDS[kind]))
    return findings


@dataclass(frozen=True)
class PersonalData:
    """Puts placeholders such as `<EMAIL>` for personal data; drops nothing.

    Raises:
        InputError: a kind that there is not.
    """

    kinds: tuple[str, ...] = KINDS

    def __post_init__(self):
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise InputError(
                "no-such-choice",
                f"found {unknown[0]!r} in the kinds of the step personal_data; wanted some of "
                f"{', '.join(KINDS)}{spelling.suggestion(unknown[0], KINDS)}",
            )

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document with placeholders; measured is how many of each kind."""
        measured.update(dict.fromkeys(self.kinds, 0))
        pieces, free = [], 0
        for start, end, kind in find(document.text, self.kinds):
            measured[kind] += 1
            pieces += [document.text[free:start], _FINDERS[kind][0]]
            free = end
        if not pieces:
            return document
        return document._replace(text="".join([*pieces, document.text[free:]]))
