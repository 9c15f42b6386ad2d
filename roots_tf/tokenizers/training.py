"""Training of vocabularies: Hugging Face `tokenizers` counts and learns, the rules are ours.

Every vocabulary starts with [PAD] [UNK] [CLS] [SEP] [MASK], ids 0 to 4. The rules are chosen so
that the graph can follow them exactly, see `graph`:

    wordpiece   BERT's normaliser and pre-tokenizer (Devlin et al., 2018)
    bpe         GPT-2's byte-level pieces (Radford et al., 2019); no text is unknown
    unigram     words at whitespace, "▁" before each (Kudo, 2018, arXiv 1804.10959); a longer word
                than BERT's limit counts as several, which bounds the search for its pieces
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from roots_tf import files
from roots_tf.tokenizers.tokenizer import Tokenizer
from roots_tf.tokenizers.vocabulary import SPECIAL_TOKENS, SUFFIX_PREFIX

MAX_WORD_CHARS = 100  # `max_input_chars_per_word` of google-research/bert

Model = Literal["wordpiece", "bpe", "unigram"]


def train(
    texts: Iterator[str],
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
        texts: the corpus, read once; what is held is the number of times each word occurs.
        folder: where the tokenizer goes.
        model: kind of the vocabulary.
        vocab_size: ids, at most; a small corpus gives fewer.
        lowercase: whether text is lower-cased.
        strip_accents: whether accents are removed; None does what `lowercase` says.
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
    strips = lowercase if strip_accents is None else strip_accents
    backend, trainer = {"wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram}[model](
        vocab_size, lowercase, strips, min_frequency, limit_alphabet
    )
    try:
        backend.train_from_iterator(_non_empty(texts), trainer)
    except files.InputError:
        raise
    except Exception as error:  # the Rust side raises the bare class
        raise files.InputError(f"could not train a {model} vocabulary: {error}") from error
    if missing := -backend.get_vocab_size() % multiple_of:
        backend = _with_unused(backend, missing)
    tokenizer = Tokenizer(backend)
    if tokenizer.size > vocab_size:
        raise files.InputError(
            f"the characters of the corpus alone give {tokenizer.size} ids; wanted at most "
            f"{vocab_size}: raise --vocab_size or lower --limit_alphabet"
        )
    tokenizer.save(folder)
    return tokenizer


def _wordpiece(vocab_size, lowercase, strips, min_frequency, limit_alphabet):
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strips)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        limit_alphabet=limit_alphabet,
        special_tokens=list(SPECIAL_TOKENS),
        continuing_subword_prefix=SUFFIX_PREFIX,
        show_progress=False,
    )
    return backend, trainer


def _bpe(vocab_size, lowercase, strips, min_frequency, limit_alphabet):
    del limit_alphabet  # 256 bytes
    backend = tokenizers.Tokenizer(models.BPE())
    if lowercase or strips:
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=False, handle_chinese_chars=False, strip_accents=strips, lowercase=lowercase
        )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    return backend, trainer


def _unigram(vocab_size, lowercase, strips, min_frequency, limit_alphabet):
    del min_frequency, limit_alphabet  # it prunes by likelihood
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
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        unk_token="[UNK]",
        show_progress=False,
    )
    return backend, trainer


def _non_empty(texts: Iterator[str]) -> Iterator[str]:
    """The texts, where there is at least one with something in it."""
    empty = True
    for text in texts:
        empty = empty and not text.strip()
        yield text
    if empty:
        raise files.InputError("found no text in the input; wanted documents to train on")


def _with_unused(backend: tokenizers.Tokenizer, missing: int) -> tokenizers.Tokenizer:
    """A tokenizer with that many more ids, which no text gives."""
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
