"""Which tokens start a word of the text: a bit for each, set when examples are built.

Where words stand between spaces the vocabulary knows: `##` and `▁` tell. Where they do not, a text
is cut into words by `roots_tf.words`, and these are aligned with the tokens by the places that both
have in the text. Ids never depend on it. No TensorFlow.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from roots_tf import words
from roots_tf.tokenizers import Encoded, bulk
from roots_tf.tokenizers.shown import shown

# Written without spaces between words; `words` says what cuts each.
LANGUAGES = ("zh", "ja", "th", "lo", "km", "my", "bo", "und")
SEGMENTATIONS = ("auto", "none", *LANGUAGES[:-1])
# First bytes, in UTF-8, of the letters of such scripts; of no accented letter, dash or quote.
_LEADS = bytes([0xE0, 0xE1, *range(0xE3, 0xEB), *range(0xEF, 0xF1)])


class DocumentLanguage(NamedTuple):
    """What is known of the language of a document.

    Attributes:
        code: by whose rules its sentences are split; ISO 639-1, else 639-3.
        declared: whether the document says it.
        cut_as: language by which its words are cut where there are letters without spaces; "" lets
            each text tell. None: nothing is cut.
    """

    code: str
    declared: bool
    cut_as: str | None


def language(text: str, data: bytes, own: str, default: str, segmentation: str) -> DocumentLanguage:
    """The language of a document, by what it says, by its letters, or the default.

    What letters say goes first where it is certain: no text in Chinese is English.

    Args:
        text: of the document.
        data: the same in UTF-8, where unspaced scripts are quickly told to be absent.
        own: what the document says, "" if nothing.
        default: of documents that say nothing.
        segmentation: "auto", "none" or the code of a language.
    """
    own = own.partition("-")[0].lower()
    given = own or default
    if len(data.translate(None, _LEADS)) == len(data) or not words.has_unspaced(text):
        return DocumentLanguage(given, bool(own), None)
    if given not in LANGUAGES:
        given = words.language_of(text) or given
    cut_as = segmentation if segmentation in LANGUAGES else given if given in LANGUAGES else ""
    return DocumentLanguage(given, bool(own), None if segmentation == "none" else cut_as)


def cut_as(texts: Sequence[str], language: str | None) -> list[str | None]:
    """The language by which the words of each text are cut; None where the vocabulary knows them.

    Args:
        texts: parts of a document.
        language: `cut_as` of the document.
    """
    if language is None:
        return [None] * len(texts)
    return [language if words.has_unspaced(text) else None for text in texts]


def of_vocabulary(tokenizer) -> np.ndarray:
    """Whether each id starts a word where words stand between spaces, bool [V].

    An unknown token is a word of its own, and so is a [MASK] that stands in a text.
    """
    starts = np.array(tokenizer.starts_word, bool)
    starts[[i for i in (tokenizer.unk_id, tokenizer.mask_id) if i is not None]] = True
    return starts


def encode(
    tokenizer, texts: Sequence[str], languages: Sequence[str | None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of texts as `tokenizer.encode` gives them, and where words start.

    Args:
        tokenizer: of the examples.
        texts: what is encoded, each by itself.
        languages: of each, the language by which its words are cut, "" if its letters are to tell;
            None where the vocabulary knows.

    Returns:
        ids int32 [total], row_splits int64 [len(texts) + 1] and starts bool [total].
    """
    is_cut = np.array([code is not None for code in languages], bool)
    if not is_cut.any():
        ids, splits = tokenizer.encode(texts)
        return ids, splits, of_vocabulary(tokenizer)[ids]
    spaced = ["" if cut else text for text, cut in zip(texts, is_cut, strict=True)]
    spaced_ids, splits = tokenizer.encode(spaced)
    cut = [(bulk.valid_text(texts[i]), languages[i]) for i in np.flatnonzero(is_cut)]
    found = tokenizer.encode_with_offsets([text for text, _ in cut])
    lengths = np.diff(splits)
    lengths[is_cut] = np.diff(found.row_splits)
    of_cut = np.repeat(is_cut, lengths)
    ids, starts = np.empty(len(of_cut), np.int32), np.empty(len(of_cut), bool)
    ids[of_cut], ids[~of_cut] = found.ids, spaced_ids
    starts[~of_cut] = of_vocabulary(tokenizer)[spaced_ids]
    starts[of_cut] = aligned(
        [len(text) for text, _ in cut], [words.spans(text, code) for text, code in cut], found
    )
    return ids, np.concatenate([[0], np.cumsum(lengths)]), starts


def aligned(
    num_characters: Sequence[int], spans: Sequence[Sequence[tuple[int, int]]], encoded: Encoded
) -> np.ndarray:
    """Which tokens of some texts start a word, given the places of both.

    A token over the bound of two words makes them one, since no token is cut; so do tokens that
    share a character. A space by itself belongs to the word behind it, as `▁` does.

    >>> spans = [(0, 2), (2, 4), (5, 6)]  # 北京, 大学, 在 in "北京大学 在"
    >>> starts, ends = np.array([0, 1, 3, 4]), np.array([1, 3, 4, 6])  # 北, 京大, 学, ▁在
    >>> aligned([6], [spans], Encoded(ids, np.array([0, 4]), starts, ends))
    array([ True, False, False,  True])

    Args:
        num_characters: of each text.
        spans: of each text, [start, end) of its words, in characters, ascending.
        encoded: the tokens of the texts.
    """
    offsets = np.cumsum(num_characters) - num_characters
    num_words, num_tokens = np.array([*map(len, spans)]), np.diff(encoded.row_splits)
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(spans)), np.int64)
    begin, end = flat.reshape(-1, 2).T + np.repeat(offsets, num_words)
    change = np.zeros(sum(num_characters) + 1, np.int64)
    change[begin] += 1  # words are not empty, so each place is there once
    change[end] -= 1
    inside = np.cumsum(change) > 0
    fresh = ~inside
    fresh[begin] = True
    before = np.concatenate([[0], np.cumsum(inside)])
    starts, ends = (x + np.repeat(offsets, num_tokens) for x in (encoded.starts, encoded.ends))
    blank = before[ends] == before[starts]
    found = fresh[starts]
    found[1:] &= (ends[:-1] <= starts[1:]) & ~blank[:-1]
    found[encoded.row_splits[:-1][num_tokens > 0]] = True
    return found


def unspaced_percent(tokenizer, counts: np.ndarray) -> float:
    """Tokens with letters of scripts without spaces, in per cent.

    Args:
        tokenizer: of the examples.
        counts: how often each id occurs, [V].
    """
    used = np.flatnonzero(counts)
    of_script = [words.has_unspaced(piece) for piece in shown(tokenizer, used)]
    return 100 * float(counts[used][of_script].sum()) / max(int(counts.sum()), 1)


def segmenters(languages: Iterable[str]) -> dict[str, str]:
    """What cuts each of some languages here, with its version; "" among them stands for all."""
    languages = set(languages)
    chosen = LANGUAGES if "" in languages else sorted(languages & {*LANGUAGES})
    return {code: words.segmenter(code) for code in chosen}


def remarks(languages: Iterable[str]) -> list[str]:
    """What there is to know of how some `languages` are cut here, such as a missing extra."""
    return [remark for code in sorted(languages) if code and (remark := words.remark(code))]


def summed(encoded: Iterable[dict], name: str) -> dict[str, int]:
    """Counts by language of all encode tasks, the most first.

    Args:
        encoded: what every encode task returned.
        name: of the counts, one of `building.BY_LANGUAGE`.
    """
    total = Counter()
    for counts in encoded:
        total.update(counts[name])
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
