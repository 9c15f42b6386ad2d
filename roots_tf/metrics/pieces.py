"""Words and sentences of texts, as generated texts are compared by them."""

import regex
import sentencex

from roots_tf import words
from roots_tf.metrics import answer_words

_MARKS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_LONGEST_LINE = 10_000  # characters: sentencex takes quadratic time where there are no spaces


def tokens(text: str) -> list[str]:
    """Words in small letters, without punctuation; where none are parted by spaces, the letters.

    >>> tokens("Die Straßen sind leer; BERT等模型")
    ['die', 'straßen', 'sind', 'leer', 'bert', '等', '模', '型']
    """
    return answer_words.tokens(_MARKS.sub(" ", text), "other")


def sentences(text: str, language: str = "en") -> list[str]:
    """Sentences of a text, without the spaces around them; a line ends one.

    `sentencex` finds where they end: at the full stops of all scripts, but for those of
    abbreviations and numbers.

    >>> sentences("Mr. Fox ran 3.5 km. He slept!\\nThen he ate")
    ['Mr. Fox ran 3.5 km.', 'He slept!', 'Then he ate']

    Args:
        text: any text.
        language: ISO 639-1 code, by which abbreviations are known; others are read as English.
    """
    found = []
    for line in text.split("\n"):
        for begin in range(0, len(line), _LONGEST_LINE):
            found += sentencex.segment(language, line[begin : begin + _LONGEST_LINE])
    return [sentence.strip() for sentence in found if sentence.strip()]


def lead(text: str, count: int, language: str = "en") -> str:
    """The first sentences of a text, on one line.

    >>> lead("One. Two.\\nThree. Four.", 3)
    'One. Two. Three.'
    >>> lead("天下大乱。他来了。", 1, "zh")
    '天下大乱。'

    Args:
        text: any text.
        count: of sentences.
        language: as for `sentences`.
    """
    first = sentences(text[: _LONGEST_LINE * count], language)[:count]
    return ("" if words.language_of("".join(first)) else " ").join(first)
