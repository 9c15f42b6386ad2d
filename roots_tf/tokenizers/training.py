"""Training of vocabularies: Hugging Face `tokenizers` counts and learns, the rules are ours.

Every vocabulary starts with [PAD] [UNK] [CLS] [SEP] [MASK], ids 0 to 4; in BPE and characters
<|endoftext|> follows, which begins and ends the texts of causal models as in GPT-2. Elsewhere [CLS]
begins and [SEP] ends them, so that BERT's vocabularies stay BERT's. The rules are chosen so that
the graph can follow them exactly, see `graph`:

    wordpiece   BERT's normaliser and pre-tokenizer (Devlin et al., 2018)
    bpe         GPT-2's byte-level pieces (Radford et al., 2019); no text is unknown
    unigram     words at whitespace, "▁" before each (Kudo, 2018, arXiv 1804.10959); a longer word
                than BERT's limit counts as several, which bounds the search for its pieces
    character   each code point, see `single_characters`

WordPiece and BPE give the same bytes whenever they are trained on the same words. Unigram does not:
its trainer in `tokenizers` adds up probabilities in the order of a hash map.

Of scripts without spaces the trainers see words, see `unspaced`; encoding knows nothing of these.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from roots_tf.storage import files
from roots_tf.tokenizers import alphabet, bulk, counting, marks, single_characters, unspaced
from roots_tf.tokenizers.tokenizer import END_OF_TEXT, Tokenizer, wordpiece
from roots_tf.tokenizers.vocabulary import SPECIAL_TOKENS, SUFFIX_PREFIX

MAX_WORD_CHARS = 100  # `max_input_chars_per_word` of google-research/bert
SPACE = "▁"  # before the words of Unigram

# WordPiece is trained on letters of its own: one for a character that begins a word, and one for
# the same inside a word. The trainer of `tokenizers` writes "##" by itself, and cannot be told that
# a piece of a clause begins inside.
_BEGINNING, _INSIDE = 0x100000, 0xF0000
_MAX_LETTERS = 0xFFFE

_RULES = {
    "wordpiece": unspaced.Rules(inside=SUFFIX_PREFIX, longest=MAX_WORD_CHARS),
    "bpe": unspaced.Rules(lead=" ", in_bytes=True),
    "unigram": unspaced.Rules(lead=SPACE),
    "character": None,
}
_SPECIAL_TOKENS = {
    "wordpiece": SPECIAL_TOKENS,
    "bpe": (*SPECIAL_TOKENS, END_OF_TEXT),
    "unigram": SPECIAL_TOKENS,
    "character": (*SPECIAL_TOKENS, END_OF_TEXT),
}

Model = Literal["wordpiece", "bpe", "unigram", "character"]


def count(
    texts: Iterable[str],
    *,
    model: Model = "wordpiece",
    lowercase: bool = True,
    strip_accents: bool | None = None,
) -> counting.Counted:
    """Counts the words of a corpus, or of a part of one, as `train` with the same settings does.

    The counts of all parts, added up, are those of the whole.
    """
    backend, cut = _PREPARE[model](lowercase, False)
    strips = lowercase if strip_accents is None else strip_accents
    stripping = _PREPARE[model](lowercase, True)[0] if strips else None
    return counting.count_words(texts, backend, cut, stripping, _RULES[model])


def is_stripped(
    counted: counting.Counted, *, lowercase: bool = True, strip_accents: bool | None = None
) -> bool:
    """Whether marks are taken off the letters of a corpus, where `strip_accents` leaves it open.

    They are where BERT does it, in lower-cased text, unless that takes letters away: see `marks`.
    """
    if strip_accents is not None:
        return strip_accents
    return lowercase and marks.are_accents(counted.letters, counted.characters[""])


def train(
    texts: Iterable[str] | counting.Counted,
    folder: str | Path,
    *,
    model: Model = "wordpiece",
    vocab_size: int = 30_522,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    multiple_of: int = 1,
    min_frequency: int = 2,
    character_coverage: float = alphabet.COVERAGE,
    limit_alphabet: int = alphabet.ALL,
) -> Tokenizer:
    """Trains a tokenizer and writes its folder.

    Args:
        texts: the corpus, read once, of which only the number of times each word occurs is held;
            or these numbers, from `count` with the same settings.
        folder: where the tokenizer is written.
        model: kind of the vocabulary.
        vocab_size: ids, at most; a small corpus gives fewer.
        lowercase: whether text is lower-cased.
        strip_accents: whether marks are taken off letters; None: as `is_stripped` says.
        multiple_of: the number of ids is rounded up to a multiple of this, with [unused...] tokens
            where the corpus does not give as many; matrices of round sizes are faster.
        min_frequency: occurrences that a pair needs to be merged (WordPiece and BPE).
        character_coverage: share of the text that the characters make up that WordPiece, Unigram
            and characters keep at least, see `alphabet`; byte-level BPE spells all.
        limit_alphabet: characters, at most, that they keep.

    Returns:
        The tokenizer.

    Raises:
        InputError: the corpus holds no words, or `vocab_size` has no room for the characters.
    """
    vocab_size += -vocab_size % multiple_of
    given = {"lowercase": lowercase, "strip_accents": strip_accents}
    counted = texts if isinstance(texts, counting.Counted) else count(texts, model=model, **given)
    strips = is_stripped(counted, **given)
    backend, _ = _PREPARE[model](lowercase, strips)
    words = counted.of(strips)
    if not words:
        raise files.InputError(
            "empty-input", "found no text in the input; wanted documents to train on"
        )
    kept = (character_coverage, limit_alphabet)
    backend.model = _LEARN[model](words, vocab_size, min_frequency, kept)
    backend.add_special_tokens(list(_SPECIAL_TOKENS[model]))
    if missing := -backend.get_vocab_size() % multiple_of:
        backend = _with_unused(backend, missing)
    tokenizer = Tokenizer(backend)
    if tokenizer.size > vocab_size:
        raise files.InputError(
            "vocabulary-too-small",
            f"found {tokenizer.size} ids of the "
            f"{'bytes' if model == 'bpe' else 'characters of the corpus'} alone; wanted at most "
            f"{vocab_size}: raise --vocab_size",
        )
    tokenizer.save(folder)
    return tokenizer


def _trained(model, words: Counter[str], trainer) -> tokenizers.Tokenizer:
    """A tokenizer with a model that is trained on words that were counted."""
    bare = tokenizers.Tokenizer(model)
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    try:
        bare.train_from_iterator(counting.repeated(words), trainer)
    except Exception as error:  # the Rust side raises the bare class
        raise files.InputError(
            "vocabulary-too-small", f"could not train a vocabulary: {error}: raise --vocab_size"
        ) from error
    return bare


def _wordpiece(lowercase: bool, strips: bool):
    """A tokenizer whose model is not trained, and how its texts are cut for counting."""
    backend = wordpiece(SPECIAL_TOKENS, lowercase=lowercase, strip_accents=strips).backend
    return backend, bulk.stretches


def _learn_wordpiece(
    words: Counter[str], vocab_size: int, min_frequency: int, kept: tuple[float, int]
) -> models.WordPiece:
    """The model that the words give, with the ids of "##" characters, characters, longer pieces."""
    inside = set()
    for word in words:
        bare = word.removeprefix(SUFFIX_PREFIX)
        inside.update(bare if bare != word else bare[1:])
    found = alphabet.occurrences(words, SUFFIX_PREFIX)
    coverage, limit = kept
    room, limit = vocab_size - len(SPECIAL_TOKENS), min(limit, _MAX_LETTERS)
    characters = sorted(alphabet.choose(found, room, inside, coverage, limit))
    beginning = {c: chr(_BEGINNING + i) for i, c in enumerate(characters)}
    within = {c: chr(_INSIDE + i) for i, c in enumerate(characters) if c in inside}

    def lettered(word: str) -> str:
        bare = word.removeprefix(SUFFIX_PREFIX)
        first = within if bare != word else beginning
        return first[bare[0]] + "".join(map(within.get, bare[1:]))

    lettered_words = Counter()
    for word, count in words.items():  # one with a character that is not kept is [UNK] as a whole
        if beginning.keys() >= set(word.removeprefix(SUFFIX_PREFIX)):
            lettered_words[lettered(word)] = count
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        # Given, it is numbered by code points; else in the order of a hash map, which is another in
        # each process, and ties are settled by number.
        initial_alphabet=[*within.values(), *beginning.values()],
        show_progress=False,
    )
    learnt = _trained(models.BPE(), lettered_words, trainer).get_vocab()
    pieces = {chr(_BEGINNING + i): c for i, c in enumerate(characters)}
    pieces |= {letter: c for c, letter in within.items()}
    ids = {}
    for token, number in learnt.items():
        if token not in SPECIAL_TOKENS:
            starts_inside = ord(token[0]) < _BEGINNING
            token = SUFFIX_PREFIX * starts_inside + "".join(map(pieces.get, token))
        ids[token] = number
    return models.WordPiece(ids, unk_token="[UNK]", continuing_subword_prefix=SUFFIX_PREFIX)


def _bpe(lowercase: bool, strips: bool):
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = _of_all_text(lowercase, strips)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend, counting.before_spaces


def _of_all_text(lowercase: bool, strips: bool) -> normalizers.BertNormalizer | None:
    """A normaliser that keeps spaces and control characters; None where nothing is changed."""
    if not (lowercase or strips):
        return None
    return normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=strips, lowercase=lowercase
    )


def _learn_bpe(
    words: Counter[str], vocab_size: int, min_frequency: int, kept: tuple[float, int]
) -> models.BPE:
    del kept  # 256 bytes spell everything
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(_SPECIAL_TOKENS["bpe"]),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    return _trained(models.BPE(), words, trainer).model


def _unigram(lowercase: bool, strips: bool):
    backend = tokenizers.Tokenizer(models.Unigram())
    backend.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=False, strip_accents=strips, lowercase=lowercase
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(tokenizers.Regex(f".{{{MAX_WORD_CHARS}}}"), "isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
        ]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    return backend, bulk.stretches


def _learn_unigram(
    words: Counter[str], vocab_size: int, min_frequency: int, kept: tuple[float, int]
) -> models.Unigram:
    del min_frequency  # it prunes by likelihood
    found = alphabet.occurrences(words)
    found.pop(SPACE, None)
    room = vocab_size - len(SPECIAL_TOKENS) - len(SPACE)
    characters = alphabet.choose(found, room, (), *kept) | {SPACE}
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        unk_token="[UNK]",
        show_progress=False,
    )
    spelled = alphabet.parts_within(words, characters)
    return _trained(models.Unigram(), spelled, trainer).model


def _character(lowercase: bool, strips: bool):
    backend = tokenizers.Tokenizer(single_characters.model(SPECIAL_TOKENS, ()))
    backend.normalizer = _of_all_text(lowercase, strips)
    single_characters.prepare(backend)
    return backend, counting.behind_spaces


def _learn_character(
    words: Counter[str], vocab_size: int, min_frequency: int, kept: tuple[float, int]
) -> models.WordLevel:
    del min_frequency  # a character is no pair
    special = _SPECIAL_TOKENS["character"]
    return single_characters.model(
        special, sorted(alphabet.choose(words, vocab_size - len(special), (), *kept))
    )


_PREPARE = {"wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram, "character": _character}
_LEARN = {
    "wordpiece": _learn_wordpiece,
    "bpe": _learn_bpe,
    "unigram": _learn_unigram,
    "character": _learn_character,
}


def _with_unused(backend: tokenizers.Tokenizer, missing: int) -> tokenizers.Tokenizer:
    """A tokenizer with that many more ids, which no text is encoded to."""
    names = [f"[unused{i}]" for i in range(missing)]
    settings = json.loads(backend.to_str())
    vocab = settings["model"]["vocab"]
    if settings["model"]["type"] == "Unigram":
        # As pieces they would take part in the search for the best segmentation.
        backend.add_special_tokens(names)
        return backend
    for name in names:
        vocab[name] = len(vocab)
    return tokenizers.Tokenizer.from_str(json.dumps(settings))
