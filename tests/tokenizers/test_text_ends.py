"""What begins and ends a text of a causal model, and GPT-2's vocabularies, which have one token."""

import json

import pytest

from roots_tf import tokenizers
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import extending, training
from tests.tokenizers.parity import Parity

END = "<|endoftext|>"
TEXTS = [
    "The fox's  jump <|endoftext|>don't \n\n é日",
    "",
    "<|endoftext|><|endoftext| >",
    "\u0301 x",
]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A folder of `vocab.json` and `merges.txt` alone, in which only `<|endoftext|>` is special."""
    folder = tmp_path_factory.mktemp("gpt2")
    lines = ["The quick brown fox jumps over the lazy dog"] * 5
    trained = training.train(lines, folder / "ours", model="bpe", lowercase=False)
    model = trained.settings["model"]
    tokens = [t for i, t in enumerate(trained.vocabulary) if i not in trained.special_ids] + [END]
    vocab = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab), "utf-8")
    merges = "".join(f"{a} {b}\n" for a, b in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}", "utf-8")
    return folder


def test_two_files_of_gpt2(gpt2, tmp_path):
    tokenizer = tokenizers.load(gpt2)
    last = tokenizer.size - 1
    assert (tokenizer.kind, tokenizer.special_ids) == ("bpe", (last,))
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.causal_pad_id) == (last, last, last)
    assert tokenizer.pad_id is tokenizer.cls_id is tokenizer.mask_id is None
    Parity(tokenizer).check(TEXTS)
    assert tokenizer.decode(tokenizer.encode(TEXTS[:1])[0]) == TEXTS[0].replace(END, "")
    tokenizer.save(tmp_path)
    again = tokenizers.load(tmp_path)
    assert (again.fingerprint, again.eos_id) == (tokenizer.fingerprint, last)
    # The published tokenizer.json has it normalised, and the config names other roles.
    content = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    content["added_tokens"][0]["normalized"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    published = tokenizers.load(tmp_path)
    assert type(published._bulk) is type(tokenizer._bulk)  # the fast one
    Parity(published).check(TEXTS)
    published.backend.add_special_tokens(["[PAD]"])  # found before the others, in the raw text
    padded = tokenizers.Tokenizer(published.backend)
    assert padded.causal_pad_id == padded.pad_id == last + 1
    Parity(padded).check([*TEXTS, "[PAD]<|endoftext|>[PAD]"])


def test_transformers_gives_the_same(gpt2, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2Tokenizer.from_pretrained(gpt2)
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizers.load(tmp_path / "theirs").save(tmp_path / "ours")
    back = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert (back.bos_token, back.eos_token, back.pad_token) == (END, END, None)
    for folder in (gpt2, tmp_path / "theirs", tmp_path / "ours"):
        ours = tokenizers.load(folder)
        for text in TEXTS:
            wanted = theirs(text, add_special_tokens=False)["input_ids"]
            assert ours.encode([text])[0].tolist() == wanted
            assert back(text, add_special_tokens=False)["input_ids"] == wanted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("merges.txt", None, "merges.txt"),
        ("merges.txt", "a b c\n", "line 1: found 'a b c'"),
        ("merges.txt", "a nothing\n", "do not fit together"),
        ("merges.txt", b"\xff\xfe", "not UTF-8"),
        ("vocab.json", "[1]", "a JSON object"),
        ("vocab.json", '{"a": "b"}', "a whole number"),
        ("vocab.json", '{"a": -1}', "."),
        ("vocab.json", '{"a": 5}', "."),
        ("tokenizer_config.json", '{"tokenizer_class": "RobertaTokenizer"}', "vocab.json alone"),
    ],
)
def test_damaged_files_are_refused_in_a_line(gpt2, tmp_path, name, content, message):
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((gpt2 / file).read_bytes())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as raised:
        tokenizers.load(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "character"])
def test_given_roles_are_kept_in_every_copy(vocabulary, tmp_path, model):
    folder = tmp_path / "given"
    tokenizers.load(vocabulary(model)).save(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(config | {"bos_token": "[MASK]", "eos_token": "<end>"}), "utf-8")
    tokenizer = tokenizers.load(folder)
    assert (tokenizer.bos_id, tokenizer.vocabulary[tokenizer.eos_id]) == (4, "<end>")
    assert tokenizer.eos_id == tokenizers.load(vocabulary(model)).size  # behind the old ids
    tokenizer.save(tmp_path / "copy")
    copies = [tokenizers.load(tmp_path / "copy"), tokenizers.Tokenizer(tokenizer.backend)]
    assert (copies[0].bos_id, copies[0].eos_id) == (4, tokenizer.eos_id)
    assert copies[1].eos_id == tokenizers.load(vocabulary(model)).eos_id  # nobody told it


def test_a_vocabulary_from_before_has_its_ids_and_ends(vocabulary, tmp_path):
    """Of a byte-level BPE without `<|endoftext|>`, [CLS] begins and [SEP] ends a text."""
    content = json.loads((vocabulary("bpe") / "tokenizer.json").read_text("utf-8"))
    vocab = content["model"]["vocab"]
    renamed = {("[unused0]" if token == END else token): i for token, i in vocab.items()}
    content["model"]["vocab"] = renamed
    content["added_tokens"] = content["added_tokens"][:5]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    tokenizer = tokenizers.load(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.special_ids) == (2, 3, (0, 1, 2, 3, 4))
    tokenizer.save(tmp_path / "saved")
    assert "eos_token" not in json.loads((tmp_path / "saved/tokenizer_config.json").read_text())


def test_characters(tmp_path):
    text = "First Citizen:\nBefore we\r\n\tspeak.\n\n"
    tokenizer = training.train([text], tmp_path, model="character", lowercase=False)
    alphabet = sorted(set(text))  # as nanoGPT numbers them
    ids = tokenizer.encode([text])[0]
    assert ids.tolist() == [6 + alphabet.index(c) for c in text]
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode(["Fé[MASK]"])[0].tolist() == [6 + alphabet.index("F"), 1, 4]
    starts = [tokenizer.vocabulary[i] for i in range(tokenizer.size) if tokenizer.starts_word[i]]
    assert starts == ["\t", "\n", "\r", " ", ".", ":"]
    new = extending.extend(tokenizer, ["é", "F"])
    assert new.vocabulary == [*tokenizer.vocabulary, "é"]
    with pytest.raises(InputError, match="'ab'"):
        extending.extend(tokenizer, ["ab"])
    with pytest.raises(InputError, match="has no words"):
        extending.split_words(tokenizer, ["a text"], 2, 5)
    with pytest.raises(InputError, match="vocab_size"):
        training.train([text], tmp_path, model="character", vocab_size=7)
