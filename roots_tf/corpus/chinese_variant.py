"""Chinese in simplified letters, or in the traditional ones of a region, by OpenCC."""

import functools
import re
from dataclasses import dataclass
from typing import Literal

from roots_tf import spelling
from roots_tf.corpus.documents import Document
from roots_tf.storage.files import InputError
from roots_tf.words import language_of

Variant = Literal["simplified", "traditional", "taiwan", "taiwan_words", "hong_kong"]
# OpenCC's configurations for text in simplified and in traditional letters; "": as it is.
_CONFIGURATIONS = {
    "simplified": ("t2s", "t2s"),
    "traditional": ("s2t", ""),
    "taiwan": ("s2tw", "t2tw"),
    "taiwan_words": ("s2twp", "t2tw"),
    "hong_kong": ("s2hk", "t2hk"),
}
VARIANTS = tuple(_CONFIGURATIONS)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SAMPLE = 10_000  # characters that tell whether a text is in simplified letters


@functools.cache
def _converter(configuration: str):
    try:
        import opencc
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "found no opencc, which the step chinese_variant needs; pip install "
            "'roots-tf[chinese]'",
        ) from error
    return opencc.OpenCC(configuration).convert


@dataclass(frozen=True)
class ChineseVariant:
    """Writes Chinese in the letters of one variant; documents in other languages stay as they are.

    A letter of one variant may be one of two in the other, and 后 is a letter of both: text that is
    in traditional letters already is not taken for simplified. Numerals, dates and punctuation are
    the same in all. Measures `letters_converted`, those that are another.

    Raises:
        InputError: a variant that there is not; opencc is not installed.
    """

    # taiwan_words also takes the words of Taiwan for those of the mainland: 软件 becomes 軟體.
    to: Variant = "simplified"

    def __post_init__(self):
        if self.to not in VARIANTS:
            raise InputError(
                "no-such-choice",
                f"found to = {self.to!r} in the step chinese_variant; wanted one of "
                f"{', '.join(VARIANTS)}{spelling.suggestion(str(self.to), VARIANTS)}",
            )
        _converter("t2s")  # what is not installed is missed before anything is read

    def __call__(self, document: Document, measured: dict[str, float]) -> Document:
        """See `documents.DocumentStep`."""
        text = document.text
        measured["letters_converted"] = 0
        if document.language not in ("", "zh", "yue", "wuu", "lzh") or not _HAN.search(text):
            return document
        if not document.language and language_of(text) not in ("", "zh"):
            return document  # Japanese has letters of its own
        of_simplified, of_traditional = _CONFIGURATIONS[self.to]
        configuration = of_traditional if _is_traditional(text) else of_simplified
        if not configuration:
            return document
        converted = _converter(configuration)(text)
        measured["letters_converted"] = (
            sum(map(str.__ne__, text, converted)) if len(text) == len(converted) else len(converted)
        )
        return document._replace(text=converted)


def _is_traditional(text: str) -> bool:
    """Whether more letters of a text are of traditional script alone than of simplified alone."""
    sample = text[:_SAMPLE]
    traditional = sum(map(str.__ne__, sample, _converter("t2s")(sample)))
    return traditional > sum(map(str.__ne__, sample, _converter("s2t")(sample)))
