import pytest

from roots_tf import tokenizers
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import vocabulary

GOOD = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "\u2028", "\u3000"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n".join([*GOOD, "the"]).encode(), r"line 10: found 'the' again, first in line 6"),
        ("\n".join(GOOD[:3] + GOOD[4:]).encode(), r"found no line \[SEP\]"),
        ("\r\n".join(GOOD).encode(), r"line 1: found a CRLF"),
        ("\n".join(GOOD).replace("##s", "##s\r").encode(), r"line 7: found a CRLF"),
        ("\n".join(GOOD).encode("utf-8-sig"), r"line 1: found a byte-order mark"),
        ("\n".join([*GOOD[:6], "", *GOOD[6:]]).encode(), r"line 7: found a blank line"),
        ("\n".join([*GOOD, "x "]).encode(), r"line 10: found spaces around the token 'x'"),
        ("\n".join([*GOOD, "é"]).encode("cp1252", "replace"), r"line 10: .* not UTF-8"),
        ("\n".join(GOOD).encode("utf-16"), r"line 1: .* not UTF-8"),
        (b"", r"found no line \[PAD\]"),
    ],
    ids=[
        "twice",
        "missing",
        "crlf",
        "one-crlf",
        "bom",
        "blank",
        "space",
        "cp1252",
        "utf16",
        "empty",
    ],
)
def test_bad_vocabularies_name_the_line(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        tokenizers.load(path)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_good_vocabulary(tmp_path, end):
    path = tmp_path / "vocab.txt"
    path.write_bytes(("\n".join(GOOD) + end).encode())
    assert vocabulary.read_vocabulary(path) == GOOD
    tokenizer = tokenizers.load(path)
    assert tokenizer.vocabulary == GOOD
    assert tokenizer.encode(["The thes"])[0].tolist() == [5, 5, 6]
    assert tokenizers.load(path, lowercase=False).encode(["The the"])[0].tolist() == [1, 5]
    path.write_text("\n".join([*GOOD, "Haus"]) + "\n", "utf-8")
    assert tokenizers.load(path).encode(["Haus haus"])[0].tolist() == [9, 1]
    path.with_name("tokenizer_config.json").write_text('{"do_lower_case": true}', "utf-8")
    assert tokenizers.load(path).encode(["Haus"])[0].tolist() == [1]


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(InputError, match="no tokenizer"):
        tokenizers.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found none of"):
        tokenizers.load(tmp_path)
    for content in ("{", '{"model": 1}'):
        (tmp_path / "tokenizer.json").write_text(content, "utf-8")
        with pytest.raises(InputError, match="JSON"):
            tokenizers.load(tmp_path)
