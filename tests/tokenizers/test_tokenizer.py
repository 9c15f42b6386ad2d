import json
from collections import Counter

import numpy as np
import pytest

from roots_tf import tokenizers
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import bulk, counting, extending, training
from tests.tokenizers.conftest import TEXT

MODELS = ["wordpiece", "bpe", "unigram", "character"]


@pytest.mark.parametrize("model", MODELS)
def test_interface(vocabulary, tmp_path, model):
    tokenizer = tokenizers.load(vocabulary(model))
    assert tokenizer.kind == model
    assert tokenizer.vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = [getattr(tokenizer, f"{role}_id") for role in ("pad", "unk", "cls", "sep", "mask")]
    assert ids == [0, 1, 2, 3, 4]
    ends_texts = model in ("bpe", "character")  # with a token of its own, as GPT-2
    assert tokenizer.special_ids == (0, 1, 2, 3, 4, 5)[: 5 + ends_texts]
    assert tokenizer.vocabulary[tokenizer.eos_id] == ("<|endoftext|>" if ends_texts else "[SEP]")
    assert (tokenizer.bos_id, tokenizer.causal_pad_id) == (5 if ends_texts else 2, 0)
    assert tokenizer.size == len(tokenizer.vocabulary)
    ids, splits = tokenizer.encode(["", "the lazy dog", b"\xff", "[MASK]"])
    assert (ids.dtype, splits.dtype) == (np.int32, np.int64)
    assert splits[0] == splits[1] == 0
    assert ids[-1] == 4
    assert tokenizer.decode(ids[splits[1] : splits[2]]).strip() == "the lazy dog"
    starts = tokenizer.starts_word
    assert (starts.dtype, len(starts)) == (bool, tokenizer.size)
    assert not starts[:5].any()
    tokenizer.save(tmp_path)
    again = tokenizers.load(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.vocabulary == tokenizer.vocabulary


@pytest.mark.parametrize("model", MODELS)
def test_starts_word_is_true_once_a_word(vocabulary, model):
    tokenizer = tokenizers.load(vocabulary(model))
    words = ["the", "quick", "brown", "fox", "unaffable", "people"]
    ids, _ = tokenizer.encode([" " + " ".join(words)])
    assert tokenizer.starts_word[ids].sum() == len(words)


def test_the_fingerprint_is_that_of_the_rules(vocabulary):
    one = tokenizers.load(vocabulary("wordpiece"))
    from_text = tokenizers.load(vocabulary("wordpiece") / "vocab.txt", lowercase=False)
    assert one.fingerprint != from_text.fingerprint
    assert len(one.fingerprint) == 64


@pytest.mark.parametrize("model", MODELS)
def test_the_cache_starts_anew_when_it_is_full(vocabulary, model, monkeypatch):
    monkeypatch.setattr(bulk, "MAX_CACHED_STRETCHES", 20)
    tokenizer = tokenizers.load(vocabulary(model))
    for _ in range(2):
        for line in TEXT.splitlines():
            expected = tokenizer.encode_with_offsets([line])
            assert tokenizer.encode([line])[0].tolist() == expected.ids.tolist()


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "character"])
def test_training_gives_the_same_bytes_again(vocabulary, tmp_path, model):
    texts = [line for line in TEXT.splitlines() for _ in range(5)]
    training.train(iter(texts), tmp_path, model=model, vocab_size=600)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (vocabulary(model) / name).read_bytes()


@pytest.mark.parametrize("model", MODELS)
def test_round_sizes(tmp_path, model):
    tokenizer = training.train(
        iter([TEXT]), tmp_path, model=model, vocab_size=5000, multiple_of=64, min_frequency=1
    )
    assert tokenizer.size % 64 == 0
    assert tokenizer.size < 5000
    assert any(token.startswith("[unused") for token in tokenizer.vocabulary)
    assert tokenizer.encode(["the dog"])[0].max() < tokenizer.size


def test_training_on_nothing_or_with_no_room(tmp_path):
    for texts in ([], ["", " \n"]):
        with pytest.raises(InputError, match="no text"):
            training.train(iter(texts), tmp_path)
    with pytest.raises(InputError, match="vocab_size"):
        training.train(iter([TEXT]), tmp_path, vocab_size=20)


@pytest.mark.parametrize("model", MODELS)
def test_transformers_loads_the_folder(vocabulary, model):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(vocabulary(model)))
    ours = tokenizers.load(vocabulary(model))
    for line in TEXT.splitlines():
        ids, _ = ours.encode([line])
        assert theirs(line)["input_ids"] == [2, *ids.tolist(), 3]


@pytest.mark.parametrize("model", MODELS[:3])
def test_new_words_get_one_id_and_old_ids_stay(vocabulary, model):
    old = tokenizers.load(vocabulary(model))
    words = ["Electroencephalogram", "people", "unaffableness", "électron"]
    new = extending.extend(old, words)
    assert new.vocabulary[: old.size] == old.vocabulary
    assert new.size > old.size
    _, splits = new.encode(["a", *(f"a {word}" for word in words)])
    lengths = np.diff(splits)
    assert lengths[1:].tolist() == [lengths[0] + 1] * len(words)
    assert extending.extend(new, words).size == new.size
    with pytest.raises(InputError, match="'two words'"):
        extending.extend(old, ["two words"])


def test_new_words_stand_behind_added_tokens(vocabulary):
    old = tokenizers.load(vocabulary("wordpiece"))
    size = old.size
    old.backend.add_tokens(["[DRUG]"])
    old = tokenizers.Tokenizer(old.backend)
    new = extending.extend(old, ["zyzzyva"])
    assert new.vocabulary[size:] == ["[DRUG]", "zyzzyva"]
    ids, _ = new.encode(["[drug] zyzzyva", "[DRUG]s"])
    assert [new.vocabulary[i] for i in ids] == ["[DRUG]", "zyzzyva", "[DRUG]", "s"]
    old.backend.add_tokens(["drug"])
    with pytest.raises(InputError, match="the added token 'drug'"):
        extending.extend(tokenizers.Tokenizer(old.backend), ["zyzzyva"])


def test_finding_words_that_are_cut(vocabulary):
    tokenizer = tokenizers.load(vocabulary("wordpiece"))
    texts = ["zyzzyva, zyzzyva! the the the", "Quixotry zyzzyva 12345"]
    assert extending.split_words(tokenizer, texts, 2, 9) == ["zyzzyva", "quixotry"]


def test_a_sentencepiece_model(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    from tests.tokenizers.parity import Parity

    corpus = tmp_path / "corpus.txt"
    corpus.write_text(TEXT * 5, "utf-8")
    for rule in ("identity", "nmt_nfkc"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=str(tmp_path / rule),
            vocab_size=260,
            hard_vocab_limit=False,
            normalization_rule_name=rule,
            minloglevel=2,
        )
        processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / f"{rule}.model"))
        tokenizer = tokenizers.load(tmp_path / f"{rule}.model")
        assert tokenizer.vocabulary == [processor.id_to_piece(i) for i in range(tokenizer.size)]
        for line in TEXT.splitlines():
            assert tokenizer.encode([line])[0].tolist() == processor.encode(line)
    tokenizer = tokenizers.load(tmp_path / "identity.model")
    Parity(tokenizer).check([*TEXT.splitlines(), "", "a  b\tc", "<s> x</s>", "\ue000\u0301"])
    broken = tmp_path / "broken.model"
    broken.write_bytes((tmp_path / "identity.model").read_bytes()[:-5])
    for content in (broken.read_bytes(), b"", b"no model"):
        broken.write_bytes(content)
        with pytest.raises(InputError, match="SentencePiece model"):
            tokenizers.load(broken)


def test_an_unknown_kind_is_refused(vocabulary, tmp_path):
    settings = json.loads((vocabulary("wordpiece") / "tokenizer.json").read_text("utf-8"))
    vocab = settings["model"]["vocab"]
    settings["model"] = {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(settings), "utf-8")
    with pytest.raises(InputError, match="WordLevel"):
        tokenizers.load(tmp_path)


@pytest.mark.parametrize("model", MODELS)
def test_words_are_counted_as_the_trainer_would(vocabulary, model):
    kept, stripping = (
        tokenizers.load(vocabulary(model, strip_accents=strips)).backend for strips in (False, True)
    )
    texts = [
        *TEXT.splitlines(),
        "a  b \u0301 c\n\n d\xa0 e",
        "x\x1cy \x85 z \u2260 !\u0301b",
        " \u201chm\u201d  - ",
    ]
    cuts = {"bpe": counting.before_spaces, "character": counting.behind_spaces}
    cut = cuts.get(model, bulk.stretches)
    counted = counting.count_words(texts, kept, cut, stripping)
    for strips, backend in ((False, kept), (True, stripping)):
        expected = Counter(
            word
            for text in texts
            for word, _ in backend.pre_tokenizer.pre_tokenize_str(
                backend.normalizer.normalize_str(text)
            )
        )
        assert counted.of(strips) == expected
