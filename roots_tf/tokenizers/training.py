"""Training of vocabularies: Hugging Face `tokenizers` counts and learns, the rules are ours.

Every vocabulary starts with [PAD] [UNK] [CLS] [SEP] [MASK], ids 0 to 4. The rules are chosen so
that the graph can follow them exactly, see `graph`:

    wordpiece   BERT's normaliser and pre-tokenizer (Devlin et al., 2018)
    bpe         GPT-2's byte-level pieces (Radford et al., 2019); no text is unknown
    unigram     words at whitespace, "▁" before each (Kudo, 2018, arXiv 1804.10959); a longer word
                than BERT's limit counts as several, which bounds the search for its pieces

WordPiece and BPE give the same bytes whenever they are trained on the same words. Unigram does not:
its trainer in `tokenizers` adds up probabilities in the order of a hash map.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from roots_tf.storage import files
from roots_tf.tokenizers import bulk, counting, marks
from roots_tf.tokenizers.tokenizer import Tokenizer, wordpiece
from roots_tf.tokenizers.vocabulary import SPECIAL_TOKENS, SUFFIX_PREFIX

MAX_WORD_CHARS = 100  # `max_input_chars_per_word` of google-research/bert

Model = Literal["wordpiece", "bpe", "unigram"]


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
    backend, cut, _ = _parts(model, lowercase, False)
    strips = lowercase if strip_accents is None else strip_accents
    stripping = _parts(model, lowercase, True)[0] if strips else None
    return counting.count_words(texts, backend, cut, stripping)


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
    limit_alphabet: int = 1000,
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
        limit_alphabet: characters, at most, that WordPiece keeps; byte-level BPE needs none, and
            Unigram keeps those that make up 99.95 % of the text.

    Returns:
        The tokenizer.

    Raises:
        InputError: the corpus holds no words, or `vocab_size` has no room for the characters.
    """
    vocab_size += -vocab_size % multiple_of
    given = {"lowercase": lowercase, "strip_accents": strip_accents}
    counted = texts if isinstance(texts, counting.Counted) else count(texts, model=model, **given)
    strips = is_stripped(counted, **given)
    backend, _, make_trainer = _parts(model, lowercase, strips)
    words = counted.of(strips)
    if not words:
        raise files.InputError("found no text in the input; wanted documents to train on")
    trainer = make_trainer(words, vocab_size, min_frequency, limit_alphabet)
    backend = _learn(backend, words, trainer)
    if missing := -backend.get_vocab_size() % multiple_of:
        backend = _with_unused(backend, missing)
    tokenizer = Tokenizer(backend)
    if tokenizer.size > vocab_size:
        raise files.InputError(
            f"the {'bytes' if model == 'bpe' else 'characters of the corpus'} alone give "
            f"{tokenizer.size} ids; wanted at most {vocab_size}: raise --vocab_size"
            + " or lower --limit_alphabet"
            * (model == "wordpiece")
        )
    tokenizer.save(folder)
    return tokenizer


def _parts(model: Model, lowercase: bool, strips: bool):
    """A tokenizer without a vocabulary, how its texts are cut for counting, and its trainer."""
    prepare = {"wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram}[model]
    return prepare(lowercase, strips)


def _learn(backend: tokenizers.Tokenizer, words: Counter[str], trainer) -> tokenizers.Tokenizer:
    """Trains the model of a tokenizer on words that were counted."""
    bare = tokenizers.Tokenizer(backend.model)
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    try:
        bare.train_from_iterator(counting.repeated(words), trainer)
    except Exception as error:  # the Rust side raises the bare class
        raise files.InputError(
            f"could not train a vocabulary: {error}: raise --vocab_size"
        ) from error
    backend.model = bare.model
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    return backend


def _wordpiece(lowercase: bool, strips: bool):
    backend = wordpiece(SPECIAL_TOKENS, lowercase=lowercase, strip_accents=strips).backend

    def make_trainer(words, vocab_size, min_frequency, limit_alphabet):
        """The trainer with its "##" characters given.

        It would number them in the order of a hash map, which is another in each process, and it
        settles ties by number.
        """
        occurrences: Counter[str] = Counter()
        for word, count in words.items():
            for character in word:
                occurrences[character] += count
        frequent = sorted(occurrences, key=lambda c: (-occurrences[c], c))[:limit_alphabet]
        alphabet = sorted(frequent)
        inside = set().union(*(word[1:] for word in words))
        suffixes = [SUFFIX_PREFIX + c for c in alphabet if c in inside]
        return trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=[*SPECIAL_TOKENS, *suffixes],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            continuing_subword_prefix=SUFFIX_PREFIX,
            show_progress=False,
        )

    return backend, bulk.stretches, make_trainer


def _bpe(lowercase: bool, strips: bool):
    backend = tokenizers.Tokenizer(models.BPE())
    if lowercase or strips:
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=False, handle_chinese_chars=False, strip_accents=strips, lowercase=lowercase
        )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()

    def make_trainer(words, vocab_size, min_frequency, limit_alphabet):
        del words, limit_alphabet  # 256 bytes spell everything
        return trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )

    return backend, counting.before_spaces, make_trainer


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

    def make_trainer(words, vocab_size, min_frequency, limit_alphabet):
        del words, min_frequency, limit_alphabet  # it prunes by likelihood
        return trainers.UnigramTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            unk_token="[UNK]",
            show_progress=False,
        )

    return backend, bulk.stretches, make_trainer


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
