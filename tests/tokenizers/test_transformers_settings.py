"""What stands beside a vocabulary: done as transformers does it, or refused in one line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import tokenizers
from roots_tf.storage.files import InputError
from tests.tokenizers.parity import Parity

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*"abcdefghijklmnopqrstuvwxyz", "##e", "##s", "##ä", "the", "möchte", "mochte", "drug"]
VOCABULARY = [*SPECIAL, *WORDS, "ich", "[", "]", "<", ">", ".", "'", "药", "物", "药物", "A", "The"]
SIZE = len(VOCABULARY)
TEXTS = [
    *("Ich möchte THE A", "the [DRUG] e\u0301e", "[drug][GENE] drugs DRUG", "", "药物 a药 [药物]"),
    *("<s>the</s> <mask> [MASK].", "nan nana nanana", "dr\u00fcg the\x0bthe a\u0301[DRUG]'s"),
    *("[DRUG", "x" * 120, "\u0130 \u1e9e \ufb01", "The\u200bdrug\tA  [CLS]the [SEP]"),
]


def write(folder, **others):
    """A folder of a vocabulary, with JSON files beside it: tokenizer_config, added_tokens, ..."""
    folder.mkdir(exist_ok=True)
    vocabulary = others.pop("vocabulary", VOCABULARY)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), "utf-8")
    for name, value in others.items():
        (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")
    return folder


def pieces(folder, text):
    tokenizer = tokenizers.load(folder)
    return [tokenizer.vocabulary[i] for i in tokenizer.encode([text])[0]]


def added(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False} | flags


CONFIGS = {
    "accents stay": {"strip_accents": False, "do_lower_case": True},
    "accents go from cased text": {"strip_accents": True, "do_lower_case": False},
    "cased": {"do_lower_case": False},
    "no spaces around ideographs": {"tokenize_chinese_chars": False, "do_lower_case": True},
    "names of special tokens": {
        "do_lower_case": True,
        "mask_token": "<mask>",
        "cls_token": {"__type": "AddedToken", **added("<s>", normalized=False)},
        "sep_token": "</s>",
    },
    "additional": {"do_lower_case": True, "additional_special_tokens": ["[DRUG]", "drug"]},
    "extra": {
        "do_lower_case": True,
        "extra_special_tokens": ["[DRUG]", {"__type": "AddedToken", **added("[GENE]")}],
    },
    "decoder": {
        "do_lower_case": True,
        "mask_token": "[MASK]",
        "added_tokens_decoder": {
            "4": added("[MASK]", normalized=False, special=True),
            str(SIZE): added("[DRUG]", normalized=True, special=False),
            str(SIZE + 1): added("[GENE]", normalized=False, special=False),
            str(SIZE + 2): added("nana", normalized=True, special=False),
            str(SIZE + 3): added("na", normalized=True, special=False),
            str(SIZE + 4): added("a药", normalized=True, special=False),
            str(SIZE + 5): added("drüg", normalized=True, special=False),
        },
    },
}


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda name: name.replace(" ", "-"))
def folder(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("theirs"), tokenizer_config=CONFIGS[request.param])


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_ids_are_those_of_transformers(folder, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    ours = tokenizers.load(folder)
    assert ours.size == len(theirs)
    for role in ("pad", "unk", "cls", "sep", "mask"):
        assert getattr(ours, f"{role}_id") == getattr(theirs, f"{role}_token_id")
    ours.save(tmp_path)
    again, back = tokenizers.load(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (again.fingerprint, again.mask_id) == (ours.fingerprint, ours.mask_id)
    for text in TEXTS:
        wanted = ids_of(theirs, text)
        assert ours.encode([text])[0].tolist() == wanted, text
        assert again.encode([text])[0].tolist() == wanted, text
        assert ids_of(back, text) == wanted, text
        assert back(text, "a")["input_ids"] == theirs(text, "a")["input_ids"]


@pytest.mark.parametrize("name", ["accents go from cased text", "decoder"])
def test_the_graph_gives_the_same_ids(tmp_path, name):
    Parity(tokenizers.load(write(tmp_path, tokenizer_config=CONFIGS[name]))).check(TEXTS)


def test_what_the_files_say_is_done(tmp_path):
    german = write(tmp_path / "a", tokenizer_config=CONFIGS["accents stay"])
    assert pieces(german, "Ich möchte") == ["ich", "möchte"]
    older = write(
        tmp_path / "b",
        added_tokens={"[GENE]": SIZE + 1, "[DRUG]": SIZE},
        special_tokens_map={"additional_special_tokens": ["[GENE]"], "mask_token": "[MASK]"},
        tokenizer_config={"do_lower_case": True},
    )
    tokenizer = tokenizers.load(older)
    assert tokenizer.vocabulary[SIZE:] == ["[DRUG]", "[GENE]"]
    assert tokenizer.special_ids == (0, 1, 2, 3, 4, SIZE + 1)
    assert tokenizer.starts_word[SIZE]
    assert pieces(older, "the [drug] [GENE]") == ["the", "[DRUG]", "[GENE]"]
    assert pieces(older, "[gene]")[0] == "["


def test_a_tokenizer_json_gets_what_stands_beside_it(tmp_path):
    write(tmp_path, tokenizer_config={"do_lower_case": True})
    tokenizers.load(tmp_path).save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    write(tmp_path, tokenizer_config=config | {"strip_accents": True}, added_tokens={"nana": SIZE})
    assert pieces(tmp_path, "MÖCHTE nana") == ["mochte", "nana"]
    for key in ("do_lower_case", "strip_accents", "tokenize_chinese_chars"):
        write(tmp_path, tokenizer_config=config | {key: False})
        with pytest.raises(
            InputError, match="found tokenizer.json with .* wanted the two to agree"
        ):
            tokenizers.load(tmp_path)
    # Of this class transformers takes the normaliser from tokenizer.json.
    as_it_is = {"tokenizer_class": "PreTrainedTokenizerFast", "strip_accents": False}
    write(tmp_path, tokenizer_config=config | as_it_is)
    assert pieces(tmp_path, "MÖCHTE") == ["mochte"]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"tokenizer_config": {"do_basic_tokenize": False}}, "do_basic_tokenize=False"),
        ({"tokenizer_config": {"never_split": ["the drug"]}}, "never_split with 'the drug'"),
        ({"tokenizer_config": {"split_special_tokens": True}}, "split_special_tokens=True"),
        ({"tokenizer_config": {"truncation_side": "left"}}, "truncation_side='left'"),
        ({"tokenizer_config": {"word_tokenizer_type": "mecab"}}, "word_tokenizer_type='mecab'"),
        ({"tokenizer_config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "Japanese"),
        ({"tokenizer_config": {"do_lower_case": "yes"}}, "do_lower_case='yes'.*true or false"),
        ({"tokenizer_config": [1]}, "a JSON object"),
        ({"tokenizer_config": {"mask_token": 4}}, "mask_token=4"),
        ({"tokenizer_config": {"unk_token": "<unk>"}}, "no line <unk>"),
        ({"tokenizer_config": {"added_tokens_decoder": {"x": added("[A]")}}}, "the key 'x'"),
        ({"tokenizer_config": {"added_tokens_decoder": {"4": added("[A]")}}}, "id 4 .* would get"),
        ({"added_tokens": {"[A]": SIZE + 1}}, f"id {SIZE + 1} .* would get {SIZE}"),
        ({"added_tokens": {"[A]": SIZE, "[B]": SIZE}}, "an id twice"),
        ({"added_tokens": {"[A]": "5"}}, "a whole number"),
        ({"added_tokens": ["[A]"]}, "a JSON object"),
        ({"added_tokens": {"": SIZE}}, "the added token ''"),
        (
            {
                "tokenizer_config": {"mask_token": "[MASK]"},
                "special_tokens_map": {"mask_token": "<mask>"},
            },
            "mask_token='\\[MASK\\]' .* '<mask>'",
        ),
        (
            {
                "tokenizer_config": {"added_tokens_decoder": {str(SIZE): added("[A]")}},
                "added_tokens": {"[B]": SIZE},
            },
            "'\\[B\\]' with the id .* None",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path, others, message):
    with pytest.raises(InputError, match=message):
        tokenizers.load(write(tmp_path, **others))


def test_cases_are_known_by_the_vocabulary(tmp_path):
    """Google's Chinese vocabulary: of 21,128 tokens only <S> and <T> have upper-case letters."""
    chinese = [*SPECIAL, "<S>", "<T>", *"我吃", "great", "film"]
    assert pieces(write(tmp_path, vocabulary=chinese), "我 Great") == ["我", "great"]
    cased = [*SPECIAL, "<S>", "Great", "great"]
    assert pieces(write(tmp_path, vocabulary=cased), "Great great") == ["Great", "great"]
    many = [*SPECIAL, *(f"w{i}" for i in range(3000)), "URL", "great"]
    assert pieces(write(tmp_path, vocabulary=many), "Great")[-1] == "great"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
KEYS = st.sampled_from(
    ["do_lower_case", "mask_token", "added_tokens_decoder", "additional_special_tokens", "97"]
    + ["content", "never_split", "tokenizer_class", "extra_special_tokens", "strip_accents"]
)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["tokenizer_config", "special_tokens_map", "added_tokens"]),
    value=JSON | st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON)),
)
def test_any_json_is_read_or_refused_in_a_line(tmp_path_factory, name, value):
    folder = write(tmp_path_factory.mktemp("any"), **{name: value})
    try:
        tokenizers.load(folder)
    except InputError as error:
        assert "\n" not in str(error)
