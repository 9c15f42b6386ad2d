import io
import json
import types

import pytest

from pipelines import extend_vocab, tokenize
from roots_tf.storage.files import InputError

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "una", "##ffa", "##ble", ",", "the"]


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    return path


def feed(monkeypatch, content: bytes):
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))


def test_pieces_ids_and_characters(vocabulary, monkeypatch, capsys):
    feed(monkeypatch, "Unaffable, the\r\n\n[MASK] 日".encode())
    tokenize.main(tokenize.Config(vocabulary=str(vocabulary), format="json"))
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["pieces"] == ["una", "##ffa", "##ble", ",", "the"]
    assert first["starts"] == [0, 3, 6, 9, 11]
    assert first["ends"] == [3, 6, 9, 10, 14]
    assert second["ids"] == []
    assert third["ids"] == [4, 1]


def test_table_of_a_file(vocabulary, tmp_path, capsys):
    (tmp_path / "text").write_text("the una", "utf-8")
    config = tokenize.Config(vocabulary=str(vocabulary), input=(str(tmp_path / "text"),))
    tokenize.main(config)
    assert capsys.readouterr().out.splitlines()[1].split() == ["0-3", "9", "the"]


def test_decode(vocabulary, monkeypatch, capsys):
    feed(monkeypatch, b"5 6 7 8 9\n")
    tokenize.main(tokenize.Config(vocabulary=str(vocabulary), decode=True))
    assert capsys.readouterr().out == "unaffable, the\n"
    for line, message in ((b"5 x", "wanted ids"), (b"5 10", "from 0 to 9")):
        feed(monkeypatch, line)
        with pytest.raises(InputError, match=message):
            tokenize.main(tokenize.Config(vocabulary=str(vocabulary), decode=True))


def test_extend_vocab(vocabulary, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("unable\nthe\nunaffable\n", "utf-8")
    output = tmp_path / "larger"
    config = extend_vocab.Config(
        vocabulary=str(vocabulary), output=str(output), words=(str(tmp_path / "words.txt"),)
    )
    extend_vocab.main(config)
    assert (output / "vocab.txt").read_text("utf-8").split() == [*VOCABULARY, "unable", "unaffable"]
    assert json.loads((output / "report.json").read_text("utf-8"))["vocab_size"] == 12
    assert "unaffable\tuna ##ffa ##ble" in capsys.readouterr().out
    with pytest.raises(InputError, match="--words and --input"):
        extend_vocab.main(extend_vocab.Config(vocabulary=str(vocabulary), output=str(output)))
