"""What a word is in a language: one definition for curation, reports, masking and scores.

Where words stand between spaces, spaces and punctuation part them. Chinese is segmented by
`rjieba`, Japanese by SudachiPy (extra `japanese`), Thai by PyThaiNLP (extra `thai`); a Tibetan word
is a syllable. Lao, Khmer, Burmese and other scripts without spaces are cut into grapheme clusters
(UAX #29), what a reader takes for a letter; so are Japanese and Thai where their extra is missing.

A cut is a function of the text, the language and the segmenter's version, which `segmenter` tells.
"""

import functools
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterator

import regex

# Letters of scripts that are written without spaces, by the language that cuts them.
_SCRIPTS = {
    "han": r"\p{Han}\u3006\p{Bopomofo}",
    "kana": r"\p{Hiragana}\p{Katakana}\u30fc\uff70",  # with the mark of long vowels, of no script
    "th": r"\p{Thai}",
    "bo": r"\p{Tibetan}",
    "lo": r"\p{Lao}",
    "km": r"\p{Khmer}",
    "my": r"\p{Myanmar}",
    "other": r"\p{Javanese}\p{Balinese}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Yi}",
}
_EAST_ASIAN = _SCRIPTS["han"] + _SCRIPTS["kana"]
_ALL = "".join(_SCRIPTS.values())
_UNSPACED = regex.compile(f"[{_ALL}]")
_LETTERS = regex.compile(r"[\p{L}\p{M}]")
_COUNTED = {name: regex.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}
# What `cut` yields, but for runs that a segmenter cuts further: each group is one way to cut.
_RUNS = regex.compile(
    rf"(?P<east>[{_EAST_ASIAN}]+)"
    rf"|(?P<th>[{_SCRIPTS['th']}\p{{M}}]*[{_SCRIPTS['th']}][{_SCRIPTS['th']}\p{{M}}]*)"
    r"|(?P<bo>\p{Tibetan}+)"
    rf"|(?P<clusters>[{_SCRIPTS['lo']}{_SCRIPTS['km']}{_SCRIPTS['my']}{_SCRIPTS['other']}]+)"
    r"|[\s\x1c-\x1f]+|\p{N}+(?:[.,]\p{N}+)*"
    rf"|[\p{{L}}\p{{M}}\p{{N}}--[{_ALL}]]+(?:['’][\p{{L}}\p{{M}}\p{{N}}--[{_ALL}]]+)*"
    r"|.",
    regex.VERSION1 | regex.DOTALL,
)
_BETWEEN_SPACES = regex.compile(rf"[{_ALL}]+|[^\s\x1c-\x1f{_ALL}]+|[\s\x1c-\x1f]+")  # as isspace()
_CLUSTER = regex.compile(r"\X")
_SYLLABLE = regex.compile("[^\u0f0b\u0f0c]*[\u0f0b\u0f0c]+|[^\u0f0b\u0f0c]+")  # up to its tsheg
_MARKS = regex.compile(r"[\p{P}\p{S}]+")
_LAST: dict[tuple[str, str], list[str]] = {}  # the steps of a recipe ask for one text's in turn
_LONGEST_RUN = 4096  # letters a segmenter is given at once: SudachiPy takes 49,149 bytes

MINORITY = 0.2  # share of letters of a script from which a text counts as written in it
KANA = 0.1  # share of kana among Han and kana from which Han is Japanese: prose has a half

_LIBRARIES = {  # of a language: name of the module, of the distribution and of the extra
    "zh": ("rjieba", "rjieba", ""),
    "ja": ("sudachipy", "SudachiPy", "japanese"),
    "th": ("pythainlp", "pythainlp", "thai"),
}


def has_unspaced(text: str) -> bool:
    """Whether a text has a letter of a script that is written without spaces.

    >>> has_unspaced("12 oz. of 茶"), has_unspaced("tè, 차, चाय")
    (True, False)
    """
    return not text.isascii() and _UNSPACED.search(text) is not None


def language_of(text: str) -> str:
    """The language by whose words a text must be segmented; "" where spaces part them.

    It is told by letters alone: a fifth of them must be of a script without spaces. Other scripts
    than those named are "und", undetermined, as in BCP 47.

    >>> [language_of(text) for text in ("他说：hello", "東京タワーは高い", "She said hello: 你好.")]
    ['zh', 'ja', '']
    """
    if not has_unspaced(text):
        return ""
    counts = {name: len(letters.findall(text)) for name, letters in _COUNTED.items()}
    if sum(counts.values()) < MINORITY * len(_LETTERS.findall(text)):
        return ""
    han, kana = counts.pop("han"), counts.pop("kana")
    counts |= {"ja" if kana >= KANA * (han + kana) else "zh": han + kana}
    language = max(counts, key=counts.get)
    return "und" if language == "other" else language


def cut(text: str, language: str = "") -> list[str]:
    """Cuts a text into words, runs of white space and single marks; together they are the text.

    >>> cut("BERT等模型，don't 3.5倍")
    ['BERT', '等', '模型', '，', "don't", ' ', '3.5', '倍']

    Args:
        text: any text.
        language: ISO 639-1 code, which decides whether Han letters are Chinese or Japanese; "":
            told from the text.
    """
    return list(_cut(text, language))


def spans(text: str, language: str = "") -> list[tuple[int, int]]:
    """Where the words and marks of a text stand: its pieces but for white space.

    >>> spans("很 好。")
    [(0, 1), (2, 3), (3, 4)]

    Args:
        text: any text.
        language: as for `cut`.

    Returns:
        Begin and end of each, in characters, ascending.
    """
    places, begin = [], 0
    for piece in _cut(text, language):
        end = begin + len(piece)
        if not piece.isspace():
            places.append((begin, end))
        begin = end
    return places


def words(text: str, language: str = "") -> list[str]:
    """Words of a text, with the punctuation that is written on to them; not to be changed.

    >>> words("The sea, calm.")
    ['The', 'sea,', 'calm.']
    >>> words("人人生而自由，BERT-base等")
    ['人人', '生而自由，', 'BERT-base', '等']

    Args:
        text: any text.
        language: as for `cut`.
    """
    if not has_unspaced(text):
        return text.split()
    found = _LAST.get((text, language))
    if found is None:
        _LAST.clear()  # first, or two lists stand side by side: 80 MB each for a text of 4 MB
        found = _LAST[text, language] = _words(text, language)
    return found


def _words(text: str, language: str) -> list[str]:
    found, joins = [], False  # whether what comes next is written on to the last word
    east = _of_east_asian(text, language)
    for run in _BETWEEN_SPACES.findall(text):
        if run.isspace():
            joins = False
            continue
        if _UNSPACED.match(run):
            found.extend(_cut(run, east))
        else:
            marks = _MARKS.match(run)
            end = marks.end() if joins and marks else 0
            if end:
                found[-1] += run[:end]
            if end < len(run):
                found.append(run[end:])
        joins = True
    return found


def segmenter(language: str) -> str:
    """What cuts texts of a language here, with its version: what a cut depends on.

    >>> segmenter("en"), segmenter("km").split()[0]
    ('spaces', 'grapheme')

    Args:
        language: ISO 639-1 code, or what `language_of` says.
    """
    if language == "bo":
        return "syllables"
    if library := _LIBRARIES.get(language):
        if _found(language):
            return f"{library[1]} {importlib.metadata.version(library[1])}"
    elif language not in ("lo", "km", "my", "und"):
        return "spaces"
    return f"grapheme clusters (regex {importlib.metadata.version('regex')})"


def remark(language: str) -> str:
    """A line for the user where the words of a language are not cut by a library; else "".

    Args:
        language: as for `segmenter`.
    """
    if not segmenter(language).startswith("grapheme"):
        return ""
    found = f"found text of language {language}, whose words are cut at single letters"
    if language in _LIBRARIES:
        extra = _LIBRARIES[language][2]
        return f"{found}; wanted its words: pip install 'roots-tf[{extra}]'"
    return f"{found}: no well-kept library that cuts its words is known here"


def _cut(text: str, language: str) -> Iterator[str]:
    """The pieces of a text."""
    east = ""
    for run in _RUNS.finditer(text):
        kind = run.lastgroup
        if kind is None:
            yield run[0]
            continue
        if kind == "east":
            east = east or _of_east_asian(text, language)
            kind = east
        segment = _segment_of(kind)
        for begin in range(0, len(run[0]), _LONGEST_RUN):
            yield from segment(run[0][begin : begin + _LONGEST_RUN])


def _of_east_asian(text: str, language: str) -> str:
    """Whether Han letters of a text are Chinese or Japanese: "zh" or "ja"."""
    if language in ("zh", "ja"):
        return language
    kana, han = (len(_COUNTED[name].findall(text)) for name in ("kana", "han"))
    return "ja" if kana and kana >= KANA * (han + kana) else "zh"


@functools.cache
def _found(language: str) -> bool:
    """Whether the library that cuts a language is installed, with its dictionary."""
    if language == "ja" and not importlib.util.find_spec("sudachidict_small"):
        return False
    return importlib.util.find_spec(_LIBRARIES[language][0]) is not None


@functools.cache
def _segment_of(kind: str) -> Callable[[str], list[str]]:
    """The function that cuts a run of letters of a script."""
    if kind == "bo":
        return _SYLLABLE.findall
    if kind not in _LIBRARIES or not _found(kind):
        return _CLUSTER.findall
    if kind == "zh":
        import rjieba

        return rjieba.cut
    if kind == "ja":
        import sudachipy

        japanese = sudachipy.Dictionary(dict="small").tokenizer(mode=sudachipy.SplitMode.A)
        return lambda run: [word.surface() for word in japanese.tokenize(run)]
    os.environ.setdefault("PYTHAINLP_READ_ONLY", "1")  # it makes a folder in the home folder
    from pythainlp.tokenize import newmm

    return newmm.segment
