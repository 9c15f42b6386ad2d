"""How much a text says: its characters, each worth as many as English takes to say the same.

The weights are those of the Declaration of Human Rights in its translations, 10,637 characters of
English: `python -m benchmarks.curation_limits` prints them. English takes 3.56 for one of Chinese;
with Han letters at that, kana are worth 1.95 in Japanese, and Hangul 2.77 in Korean. Thai and the
other alphabets are within a third of English.
"""

import re

import regex

_WEIGHTS = {
    3.5: re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),  # Han
    2.0: re.compile("[\u3041-\u30ff\u31f0-\u31ff]"),  # kana
    2.75: re.compile("[\uac00-\ud7a3]"),  # Hangul
}


# A vowel sign may be a word by itself where a script is cut into letters, as in Burmese.
_LETTER = regex.compile(r"[\p{L}\p{M}]")
_LETTER_OR_NUMBER = regex.compile(r"[\p{L}\p{M}\p{N}]")


def has_letter(word: str) -> bool:
    """Whether a word has a letter or a vowel sign; most have a letter in front.

    Args:
        word: at least a character.
    """
    return word[0].isalpha() or _LETTER.search(word) is not None


def has_letter_or_number(word: str) -> bool:
    """Whether a word has a letter, vowel sign or number; most have one in front.

    Args:
        word: at least a character.
    """
    return word[0].isalnum() or _LETTER_OR_NUMBER.search(word) is not None


def text_size(text: str) -> float:
    """Characters that a text would have in English.

    >>> text_size("The sea was calm."), text_size("海面平静。")
    (17, 15.0)

    Args:
        text: any text.
    """
    if text.isascii():
        return len(text)
    return len(text) + sum(
        (weight - 1) * len(letters.findall(text)) for weight, letters in _WEIGHTS.items()
    )
