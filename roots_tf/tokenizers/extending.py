"""New words for a vocabulary that exists: every old id keeps its token."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence

import tokenizers
from tokenizers import models

from roots_tf import words as words_of
from roots_tf.storage import files
from roots_tf.tokenizers.shown import SPACE
from roots_tf.tokenizers.tokenizer import Tokenizer

_MARGIN = 0.01  # log-probability by which a new piece of Unigram beats the old ones together


def extend(tokenizer: Tokenizer, words: Sequence[str]) -> Tokenizer:
    """A tokenizer that gives each of the words one id of its own.

    WordPiece gets a token a word. Unigram gets a piece that scores just above the pieces which made
    up the word. BPE gets merges, after all others, that join the pieces of the word from left to
    right, and the tokens in between; other words that hold the same pieces get shorter, too. Of a
    vocabulary of characters, the words are characters.

    Args:
        tokenizer: the old one; stays as it is.
        words: words as they stand in text: after a space, where their script has spaces.

    Returns:
        A new tokenizer; words that were one token already change nothing.

    Raises:
        InputError: a word is several words to the tokenizer, or cannot be spelt by it; tokens
            that were added to the old one stand where the new words would; or targets are cut in
            another way than sources.
    """
    tokenizer.check_cuts_alike("more words")
    settings = json.loads(tokenizer.backend.to_str())
    add = {
        "wordpiece": _add_tokens,
        "bpe": _add_merges,
        "unigram": _add_pieces,
        "character": _add_characters,
    }[tokenizer.kind]
    stretches = [_stretch(tokenizer, word) for word in words]
    _take_in_added_tokens(tokenizer, settings)
    add(settings["model"], tokenizer.backend.model, list(dict.fromkeys(stretches)))
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(settings)), tokenizer.roles)


def with_special_tokens(tokenizer: Tokenizer, tokens: Sequence[str]) -> Tokenizer:
    """A tokenizer that has special tokens; those that it lacks come behind its other ids.

    Args:
        tokenizer: the old one; stays as it is.
        tokens: such as "<extra_id_0>", in the order that new ones have.

    Returns:
        A new tokenizer, or the old one where it has them all.
    """
    special = {tokenizer.vocabulary[i] for i in tokenizer.special_ids}
    if not (new := [token for token in tokens if token not in special]):
        return tokenizer
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.add_special_tokens(new)
    targets = None
    if tokenizer.targets is not tokenizer:
        targets = with_special_tokens(tokenizer.targets, tokens)
    return Tokenizer(backend, tokenizer.roles, targets)


def split_words(
    tokenizer: Tokenizer, texts: Iterable[str], min_pieces: int, count: int
) -> list[str]:
    """The most frequent words of texts that the tokenizer cuts into many pieces.

    Args:
        tokenizer: cuts them.
        texts: read once; the number of times each word occurs is held.
        min_pieces: pieces that a word must have.
        count: words wanted.

    Returns:
        Words of letters, as the normaliser leaves them, the most frequent first; in scripts without
        spaces, those of `words.cut` that are one word to the tokenizer.

    Raises:
        InputError: its tokens are characters.
    """
    if tokenizer.kind == "character":
        raise files.InputError(
            "wrong-value",
            "found a vocabulary of characters, which has no words; wanted --words with a character "
            "a line, or a vocabulary of another kind",
        )
    counts: Counter[str] = Counter()
    normalizer = tokenizer.backend.normalizer
    for text in texts:
        parts = words_of.cut(text) if words_of.has_unspaced(text) else text.split()
        counts.update(word.strip(".,;:!?\"'()") for word in parts)
    merged: Counter[str] = Counter()
    for word, number in counts.items():
        merged[normalizer.normalize_str(word) if normalizer else word] += number
    candidates = [word for word, _ in merged.most_common() if word.isalpha()]
    _, splits = tokenizer.encode([f" {word}" for word in candidates])
    lengths = (splits[1:] - splits[:-1]).tolist()
    split = (word for word, length in zip(candidates, lengths, strict=True) if length >= min_pieces)
    single = (
        word
        for word in split
        if not words_of.has_unspaced(word) or len(_stretches(tokenizer, word)) == 1
    )
    return list(itertools.islice(single, count))


def _stretches(tokenizer: Tokenizer, word: str) -> list[str]:
    """What the model sees of a word: after a space, where its script has spaces."""
    backend, is_bare = tokenizer.backend, words_of.has_unspaced(word[:1])
    text = f" {word}" if tokenizer.kind == "bpe" and not is_bare else word
    normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
    found = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]
    if is_bare and found and tokenizer.kind == "unigram":
        found[0] = found[0].removeprefix(SPACE)
    return found


def _stretch(tokenizer: Tokenizer, word: str) -> str:
    """The one stretch that the model sees of a word.

    Raises:
        InputError: there are several, or none.
    """
    stretches = _stretches(tokenizer, word)
    if len(stretches) != 1 or not word.strip():
        raise files.InputError(
            "broken-vocabulary",
            f"found {word!r}, which the tokenizer cuts into {len(stretches)} words {stretches}; "
            "wanted single words, a line each",
        )
    return stretches[0]


def _take_in_added_tokens(tokenizer: Tokenizer, settings: dict) -> None:
    """Puts added tokens that the model does not know among its words, at their ids.

    `tokenizers` numbers such tokens behind the model's words, so they would move as words come.
    WordPiece never sees "[DRUG]", which is cut at its brackets unless it is found as a whole.

    Raises:
        InputError: the model could find one of them inside of words, such as "drug".
    """
    words = settings["model"]["vocab"]
    for token in settings["added_tokens"]:
        content = token["content"]
        if tokenizer.backend.model.token_to_id(content) is not None:
            continue
        cut = tokenizer.kind == "wordpiece" and tokenizer.backend.pre_tokenizer.pre_tokenize_str(
            content
        )
        if not cut or len(cut) == 1:
            raise files.InputError(
                "unsupported-tokenizer",
                f"found the added token {content!r} behind the vocabulary, where new words would "
                "stand; wanted a vocabulary without added tokens: extend it, then add them",
            )
        words[content] = token["id"]


def _add_tokens(model: dict, old: models.Model, stretches: list[str]) -> None:
    limit = model["max_input_chars_per_word"]
    for stretch in stretches:
        if len(stretch) > limit:
            raise files.InputError(
                "too-long",
                f"found {stretch!r}, a word of {len(stretch)} characters; the tokenizer gives "
                f"[UNK] for any above {limit}",
            )
        model["vocab"].setdefault(stretch, len(model["vocab"]))


def _add_characters(model: dict, old: models.Model, stretches: list[str]) -> None:
    for stretch in stretches:
        model["vocab"].setdefault(stretch, len(model["vocab"]))


def _add_pieces(model: dict, old: models.Model, stretches: list[str]) -> None:
    scores = dict(model["vocab"])
    lowest = min(scores.values())
    for stretch in stretches:
        if stretch in scores:
            continue
        path = sum(scores.get(token.value, lowest) for token in old.tokenize(stretch))
        # Not below the lowest score, from which the score of unknown characters is derived.
        model["vocab"].append([stretch, max(path + _MARGIN, lowest)])


def _add_merges(model: dict, old: models.Model, stretches: list[str]) -> None:
    added: list[list[str]] = []
    for stretch in stretches:
        tokens = [token.value for token in old.tokenize(stretch)]
        for merge in added:
            tokens = _merged(tokens, merge)
        while len(tokens) > 1:
            added.append(tokens[:2])
            model["vocab"].setdefault("".join(tokens[:2]), len(model["vocab"]))
            tokens = _merged(tokens, added[-1])
    model["merges"] += added


def _merged(tokens: list[str], merge: list[str]) -> list[str]:
    """The tokens after every place of a pair has been joined, from left to right.

    >>> _merged(["a", "b", "a", "b"], ["a", "b"])
    ['ab', 'ab']
    """
    result, i = [], 0
    while i < len(tokens):
        width = 2 if tokens[i : i + 2] == merge else 1
        result.append("".join(tokens[i : i + width]))
        i += width
    return result
