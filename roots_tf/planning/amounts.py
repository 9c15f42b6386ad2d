"""Amounts as people write and read them: bytes, times, numbers."""

import re

from roots_tf.storage.files import InputError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}


def bytes_of(text: str, flag: str) -> float:
    """Bytes that a text stands for.

    >>> bytes_of("16GB", "memory"), bytes_of("1.5 GiB", "memory")
    (16000000000.0, 1610612736.0)

    Args:
        text: a number and a unit.
        flag: where it stands, for the message.

    Raises:
        InputError: it is none, or is not above 0.
    """
    match = re.fullmatch(r"\s*(\d*\.?\d+(?:e\d+)?)\s*([kmgt]i?)?b?\s*", text.lower())
    number = float(match[1]) * (_UNITS | _BINARY)[match[2] or ""] if match else 0.0
    if not 0 < number < 1e18:
        raise InputError(
            "wrong-value",
            f"found --{flag}={text}; wanted a number of bytes, such as 16GB or 512MiB",
        )
    return number


def spell_bytes(count: float) -> str:
    """Bytes for people, with three digits at least.

    >>> spell_bytes(1.25e9), spell_bytes(64e6)
    ('1.25 GB', '64.0 MB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            number = count / size
            return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
    return f"{count:,.0f} bytes"


def spell_dollars(dollars: float) -> str:
    """Money for people, to a cent or to two digits.

    >>> spell_dollars(1234.5), spell_dollars(0.00123)
    ('1,234.50', '0.0012')
    """
    return f"{dollars:,.2f}" if dollars >= 0.1 or dollars == 0 else f"{dollars:.2g}"


def spell_hours(hours: float) -> str:
    """A time for people.

    >>> spell_hours(0.001), spell_hours(0.5), spell_hours(30), spell_hours(200)
    ('3.6 s', '30 min', '30.0 h', '8.3 days')
    """
    if hours < 1 / 60:
        return f"{3600 * hours:.2g} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:,.1f} days"


def spell(number: float) -> str:
    """A large number for people, to three digits.

    >>> spell(1_234_567), spell(999), spell(3.1e15), spell(1e22)
    ('1.23 million', '999', '3.10e+15', '1.00e+22')
    """
    if number < 1e4:
        return f"{number:,.0f}"
    for name, size in (("million", 1e6), ("billion", 1e9)):
        if size <= number < 1000 * size:
            return f"{number / size:.3g} {name}"
    return f"{number:,.0f}" if number < 1e6 else f"{number:.2e}"
