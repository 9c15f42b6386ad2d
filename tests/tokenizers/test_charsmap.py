"""SentencePiece's character maps in the graph give what they give in bulk."""

import base64
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from roots_tf import tokenizers
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import charsmap, graphemes
from tests.tokenizers.conftest import TEXT
from tests.tokenizers.parity import Parity, as_bytes
from tests.tokenizers.test_graph import custom_ops
from tests.tokenizers.test_parity import (
    ALL_CHARACTERS,
    EVERYTHING,
    HOSTILE,
    QUICK,
    joined,
    real_lines,
)

RULES = ["nmt_nfkc", "nmt_nfkc_cf"]
EACH_RULE = pytest.mark.parametrize("rule", [*RULES, pytest.param("nfkc", marks=pytest.mark.slow)])


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Path of a small `.model`, by its rule or by a table of its own; trained once each."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("charsmap")
    made = {}

    def make(name: str, rules: dict[str, str] | None = None):
        if name not in made:
            options = {"normalization_rule_name": name}
            if rules is not None:
                lines = (" ".join(f"{ord(c):X}" for c in key) + "\t" for key in rules)
                outputs = (" ".join(f"{ord(c):X}" for c in output) for output in rules.values())
                table = folder / f"{name}.tsv"
                table.write_text("".join(f"{a}{b}\n" for a, b in zip(lines, outputs, strict=True)))
                options = {"normalization_rule_tsv": str(table)}
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(TEXT.splitlines() * 5),
                model_prefix=str(folder / name),
                vocab_size=260,
                hard_vocab_limit=False,
                minloglevel=2,
                **options,
            )
            made[name] = folder / f"{name}.model"
        return made[name]

    return make


@pytest.fixture(scope="session")
def charsmap_parity(trained):
    """`Parity` of a small `.model`, traced once each."""
    made = {}

    def make(name: str, rules: dict[str, str] | None = None) -> Parity:
        if name not in made:
            made[name] = Parity(tokenizers.load(trained(name, rules)))
        return made[name]

    return make


@functools.cache
def keys_of(path) -> dict[str, str]:
    settings = tokenizers.load(path).settings["normalizer"]
    return charsmap.read(base64.b64decode(settings["precompiled_charsmap"]))


@functools.cache
def representatives() -> list[str]:
    """Characters of each kind that clusters tell apart, of each length in bytes."""
    kinds = {}
    for code, kind in enumerate(graphemes.properties().tolist()):
        if not 0xD800 <= code < 0xE000:
            kinds.setdefault((kind, len(chr(code).encode())), []).append(chr(code))
    return [c for found in kinds.values() for c in found[1 :: max(1, len(found) // 3)]]


def test_keys_and_what_they_become(trained):
    rules = {
        "\ufb01": "fi",
        "e\u0301": "\u00e9",
        "\u00ad": "",
        "a\u0308\u0301": "xyz",
        "\u1fed": " ",
    }
    assert keys_of(trained("literal", rules)) == rules
    keys = keys_of(trained("nmt_nfkc"))
    assert keys["\u00bd"] == "1\u20442"
    assert keys["\n"] == keys["\u3000"] == " "
    assert keys["\x01"] == ""
    assert max(len(key.encode()) for key in keys) == charsmap.MAX_BYTES


def test_a_damaged_map_is_refused():
    for content in (b"", b"\x10\0\0\0", np.array([8, 256 << 10, 0], "<u4").tobytes()[:-3]):
        with pytest.raises(InputError, match="character map"):
            charsmap.read(content)


def test_a_model_with_a_damaged_map_is_refused(trained, tmp_path):
    settings = tokenizers.load(trained("nmt_nfkc")).settings["normalizer"]
    content = base64.b64decode(settings["precompiled_charsmap"])
    model = trained("nmt_nfkc").read_bytes()
    assert model.count(content) == 1
    damaged = tmp_path / "damaged.model"
    damaged.write_bytes(model.replace(content, b"\xff" * len(content)))
    with pytest.raises(InputError, match="character map"):
        tokenizers.load(damaged)


def test_clusters_of_the_unicode_standard():
    """Pairs from the table of Unicode Standard Annex 29, and where they do not bind."""
    found = graphemes.properties()

    def binds(one: str, other: str) -> bool:
        sorts = found[ord(other)] >> graphemes.SORTS
        return bool(found[ord(one)] & sorts & graphemes.BINDS)

    for pair in ("\r\n", "a\u0301", "\u0915\u0903", "a\u200d", "\u0600a", "\u1100\u1161"):
        assert binds(*pair), pair
    for pair in ("\u1161\u11a8", "\uac00\u11a8", "\uac01\u11a8", "\u1100\uac00", "\u1100\u1100"):
        assert binds(*pair), pair
    for pair in (
        "\n\r",
        "ab",
        "\n\u0301",
        "\u0600\n",
        "\u11a8\u1161",
        "\uac01\u1161",
        "\x01\u0301",
    ):
        assert not binds(*pair), pair
    for mark, flag in (
        ("\u0915", graphemes.CONSONANT),
        ("\u094d", graphemes.LINKER | graphemes.IN_CONJUNCT | graphemes.IN_EMOJI),
        ("\u200d", graphemes.IN_CONJUNCT),
        ("\u2764", graphemes.PICTOGRAPH),
        ("\U0001f468", graphemes.PICTOGRAPH),
        ("a", 0),
    ):
        assert found[ord(mark)] >> 2 * graphemes.SORTS << 2 * graphemes.SORTS == flag, mark


@EACH_RULE
def test_hostile_strings(charsmap_parity, rule):
    parity = charsmap_parity(rule)
    texts = [
        *HOSTILE,
        "\ufb01\u0301 e\u0301 a\u0308\u0301 \u0340\u0301",  # clusters that are replaced whole
        "\xad\xad<s>\xadx\xad\xady <s>\xad\xad",  # what vanishes, first and last in a stretch
        "\u2122\xad\xad\xbdx\xad \xad",  # one that grows before one that vanishes
        "a\r\nb\n\rc \u0600\xbd \u0915\u094d\u0915\u0340 \u2764\u200d\u2764\u0340",
        "<s>\u0301</s>e<s>\u0301",
    ]
    parity.check(texts)
    for text in texts:
        parity.check([text])
    parity.check([])
    parity.check(["", "\xad", ""])
    parity.check(["\xbde\u0301\xad " * 5_000])


@EACH_RULE
def test_every_character_of_the_map(charsmap_parity, trained, rule):
    keys = list(keys_of(trained(rule)))
    charsmap_parity(rule).check([f"a{key}b {key}" for key in keys])
    charsmap_parity(rule).check([f"{key}\u0301{key}\u200d" for key in keys])


@pytest.mark.slow
def test_every_code_point(charsmap_parity):
    for start in range(0, 0x110000, 1 << 16):
        codes = range(start, start + (1 << 16))
        texts = [f"{chr(code)}b {chr(code)}\u0301" for code in codes]
        charsmap_parity("nmt_nfkc").check(joined(texts) if start else texts)


@given(data=st.data())
@QUICK
def test_drawn_strings(charsmap_parity, trained, data):
    rule = data.draw(st.sampled_from(RULES))
    parts = st.one_of(
        st.text(ALL_CHARACTERS, max_size=3),
        st.sampled_from(sorted(keys_of(trained(rule)))),
        st.sampled_from(representatives()),
        st.sampled_from(["<s>", "</s>", " ", "\u0301", "\u200d", "\xad", "\xbd", "the"]),
    )
    texts = data.draw(st.lists(st.lists(parts, max_size=12).map("".join), max_size=20))
    charsmap_parity(rule).check(texts)


@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])
def test_a_map_of_every_kind_of_character(charsmap_parity, seed):
    """Here each boundary of a cluster shows, also those that no published map asks about."""
    random = np.random.default_rng(seed)
    kinds = [c for c in representatives() if c not in "\0 "]
    singles = [c for c in kinds if random.random() < 0.5]
    sequences = ["".join(random.choice(kinds, n)) for n in (2, 3) for _ in range(500)]
    outputs = ["", "x", "yz", " ", "\u0301", "quick"]
    rules = {key: str(random.choice(outputs)) for key in singles + sequences}
    rules |= {"\u0915": "x", "\u2764": "yz"}
    rules = {key: output for key, output in rules.items() if key != output}  # spm_train refuses
    parity = charsmap_parity(f"kinds{seed}", rules)
    texts = ["".join(pair) for pair in itertools.product(kinds, repeat=2)]
    texts += sequences
    ka, virama, heart, joiner = "\u0915\u094d\u2764\u200d"
    for before, after in (
        (ka + virama, ""),
        (ka, ka),
        (ka + virama, ka),
        ("", virama + ka),
        (ka + joiner + virama, joiner + ka),
        (heart + joiner, ""),
        (heart, joiner + heart),
        ("", joiner + heart),
    ):
        texts += [before + c + after for c in kinds]
    texts += ["".join(random.choice(kinds, random.integers(3, 9))) for _ in range(1000)]
    parity.check([text + tail for text in texts for tail in ("", "\u0301")])


def test_nothing_but_core_ops(charsmap_parity):
    function = charsmap_parity("nmt_nfkc").with_offsets.get_concrete_function()
    assert custom_ops(function.graph.as_graph_def()) == set()


@EVERYTHING
def test_real_text(languages, charsmap_parity, everything):
    lines = real_lines(languages, everything)
    for start in range(0, len(lines), 20_000):
        charsmap_parity("nmt_nfkc").check(lines[start : start + 20_000])


def test_what_is_kept_of_a_cluster(trained):
    """The rule that is followed, with its losses: see `graph_charsmap`."""
    normalizer = tokenizers.load(trained("nmt_nfkc")).backend.normalizer
    graph = tokenizers.load(trained("nmt_nfkc")).graph()
    for text, expected in {
        "e\u0301": "\u00e9",
        "\ufb01\u0301x": "fix",  # five bytes, of which the first three are a key
        "\ufb01\u0301\u0301x": "fi\u0301\u0301x",  # seven bytes
        "\u1100\u1161": "\u1100\u1161",  # a key of six bytes; SentencePiece composes it
    }.items():
        assert normalizer.normalize_str(text) == expected
        characters, _ = graph._normalize(tf.constant([as_bytes(text)]))
        assert "".join(map(chr, characters.codes.numpy())) == expected
