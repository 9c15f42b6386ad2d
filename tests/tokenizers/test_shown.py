"""Pieces as people read them, of every model."""

import tokenizers as hf_tokenizers
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.tokenizers import tokenizer
from roots_tf.tokenizers.shown import byte_letters, shown


def byte_level(merges=()) -> tokenizer.Tokenizer:
    """GPT-2's bytes, with a few merges."""
    letters = [*sorted(byte_letters()), *("".join(pair) for pair in merges)]
    backend = hf_tokenizers.Tokenizer(
        hf_tokenizers.models.BPE({letter: i for i, letter in enumerate(letters)}, list(merges))
    )
    backend.pre_tokenizer = hf_tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = hf_tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(["[MASK]", "é"])
    return tokenizer.Tokenizer(backend)


def test_pieces_of_bytes_are_read_as_text():
    bpe = byte_level()
    pieces = ["åĮĹäº¬", "Ġthe", "åĮ", "ĹäºŃåĮ", "[MASK]", "Ċ", "é"]
    assert shown(bpe, pieces) == [
        "北京", "▁the", "<0xE5><0x8C>", "<0x97>亭<0xE5><0x8C>", "[MASK]", "\\n", "é"
    ]  # fmt: skip


@given(st.text(min_size=1))
def test_bytes_say_what_they_were_made_of(text):
    text = text.encode("utf-8", "replace").decode()
    piece = "".join(byte_letters()[byte] for byte in text.encode())
    (found,) = shown(byte_level(), [piece + "x"])  # x, or an added token might be met by chance
    wanted = f"{text}x".replace(" ", "▁")
    assert found == wanted if wanted.isprintable() else found.isprintable()


def test_ids_and_pieces_of_other_models_stand_as_they_are():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "北", "##京", "Ġ", "a\x1b"]
    wordpiece = tokenizer.wordpiece(tokens, lowercase=True)
    assert shown(wordpiece, range(9)) == [*tokens[:8], "a\\x1b"]
