"""Words of answers, by language, as they are compared when answers to questions are scored.

The same names of languages are those that generated texts are scored in (`generated`).

English answers are compared as SQuAD's evaluation does it. Those of other languages as MLQA's does
(Lewis et al. 2020, arXiv:1910.07475, section 4): punctuation of every script is dropped, articles
are those of the language, and where words have no spaces between them each character is a token,
as in CMRC 2018 (Cui et al. 2019, arXiv:1810.07366, section 4).
"""

import functools
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

from roots_tf import words

# MLQA's seven; the others whose words have no spaces between them; Korean; and all the rest.
Language = Literal[
    "auto", "en", "de", "es", "vi", "ar", "hi", "zh", "ja", "th", "lo", "km", "my", "bo", "ko",
    "other",
]  # fmt: skip
HELP = (
    "that answers to questions and generated texts are scored in: articles, punctuation, words or "
    "characters; auto: that of finetune, or told from the contexts or the right texts"
)
ARTICLES = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "ar": re.compile("ال"),
}
# Frequent words that tell languages apart: those with articles above, and some of the same letters.
_FREQUENT = {
    "en": "the of and to in is was for that as with by on are from at were which it",
    "de": "der die und in den das von zu mit sich des auf ist im dem nicht ein eine als auch",
    "es": "de la que el en y los del las un por con una su para es al lo como más",
    "vi": "và của là có được cho các trong một không những với người đã khi này về ở năm đến",
    "ar": "في من على إلى أن التي عن ما هذا كان الذي هو مع لا هذه كل كما بين ذلك أو",
    "fr": "de la le et les des en un du une que est pour qui dans par sur au plus pas il",
    "it": "di e il la che in un del per è una della i con non si le da al come sono",
    "ca": "de la i el a en que les per un amb és del una als dels pel tota té seva dret",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos",
    "nl": "de het een en van in is dat op te zijn met voor die niet aan er om als door",
}
_FREQUENT = {code: frozenset(text.split()) for code, text in _FREQUENT.items()}
_HANGUL = re.compile("[가-힣]")
_SHORT = 50  # words; a shorter text may hold no frequent one
_SAMPLED = 20_000  # characters of the texts that are looked at


def language_of(texts: Iterable[str]) -> str:
    """The language that answers from these texts are compared in: one of `Language`.

    Scripts without spaces and Korean say it by their letters. Other texts are of the language
    whose frequent words they hold most of: a tenth of the words at least; in English a third are
    such. A text of Latin letters that is too short for that is English. All others are "other".

    >>> language_of(["江泽民今天在北京", "会见了克林顿。"])
    'zh'
    >>> language_of(["Der Zug ist nicht auf dem Gleis."])
    'de'
    """
    text = unicodedata.normalize("NFC", _sample(texts))
    if language := words.language_of(text):
        return language if language in get_args(Language) else "other"
    found = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    hangul = sum(count for word, count in found.items() if _HANGUL.search(word))
    if hangul and 2 * hangul >= found.total():
        return "ko"
    seen = {code: sum(found[word] for word in frequent) for code, frequent in _FREQUENT.items()}
    best = max(seen, key=seen.get)  # the first of equals
    if seen[best] < found.total() / 10:
        latin = sum(count for word, count in found.items() if _is_latin(word[0]))
        return "en" if found.total() < _SHORT and 2 * latin >= found.total() else "other"
    return best if best in ARTICLES else "other"


def _sample(texts: Iterable[str]) -> str:
    """The beginnings of the first texts."""
    parts, size = [], 0
    for text in texts:
        parts.append(text[:2_000])
        size += len(parts[-1])
        if size > _SAMPLED:
            break
    return "\n".join(parts)


def tokens(answer: str, language: str = "en") -> list[str]:
    """What of an answer is compared: lower case, without punctuation and articles.

    >>> tokens("The  U.N.'s   headquarters, an office")
    ['uns', 'headquarters', 'office']
    >>> tokens("《iPhone 7》 的价格", "zh")
    ['iphone', '7', '的', '价', '格']
    >>> tokens("Die „Grüne Woche“", "de")
    ['grüne', 'woche']

    Args:
        answer: as it stands in the text.
        language: one of `Language` but "auto".
    """
    marks = _ASCII if language == "en" else _punctuation()
    kept = answer.lower().translate(marks)
    if language in ARTICLES:
        kept = ARTICLES[language].sub(" ", kept)
    if language in ARTICLES or not words.has_unspaced(kept):
        return kept.split()
    found: list[str] = []
    goes_on = False  # whether the next letter belongs to the word that was begun
    for character in kept:
        is_mark = unicodedata.category(character)[0] == "M"
        unspaced = words.has_unspaced(character)
        if character.isspace():
            goes_on = False
        elif found and (is_mark or (goes_on and not unspaced)):
            found[-1] += character
        else:
            found.append(character)
            goes_on = not unspaced
    return found


_ASCII = str.maketrans("", "", string.punctuation)


@functools.cache
def _punctuation() -> dict:
    """Deletes punctuation of every script, and the symbols of ASCII, of full width too."""
    marks = {
        code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "P"
    }
    symbols = {ord(character) for character in string.punctuation}
    return dict.fromkeys(marks | symbols | {code + 0xFEE0 for code in symbols})


@functools.cache
def _is_latin(letter: str) -> bool:
    """Whether a letter is of the Latin script."""
    return "LATIN" in unicodedata.name(letter, "")
