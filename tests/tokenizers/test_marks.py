"""Marks that are letters stay in a vocabulary; where letters are lost, a line says so."""

import unicodedata

import pytest

from pipelines import train_tokenizer
from roots_tf import tokenizers
from roots_tf.storage import files
from roots_tf.tokenizers import counting, marks, report, training

# Two texts a script, which differ in nothing but marks, and whether these are accents.
PAIRS = {
    "Latin": ("Noël ça pâté", "Noel ca pate", True),
    "Greek": ("Ελληνικά μέρα", "Ελληνικα μερα", True),
    "Cyrillic": ("мой ещё їжак", "мои еще іжак", False),
    "Thai": ("ที่นั่น", "ทนน", False),
    "Devanagari": ("हैं में", "ह म", False),
    "Bengali": ("কুকুর", "ককর", False),
    "Tamil": ("அம்மா", "அமமா", False),
    "Arabic": ("سؤال أب", "سوال اب", False),
    "Hebrew": ("שָׁלוֹם", "שלום", False),
    "Hiragana": ("がぎぐ", "かきく", False),
    "Katakana": ("パン バス", "ハン ハス", False),
    "Hangul": ("한국어", unicodedata.normalize("NFD", "한국어"), False),
    "Vietnamese": ("người thuở", "nguoi thuo", False),
    "Khmer": ("ភាសាខ្មែរ", "ភាសាខមែរ", False),
    "Myanmar": ("မြန်မာ", "မြနမာ", False),
}  # fmt: skip
MODELS = ["wordpiece", "bpe", "unigram"]


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer.encode([text])[0].tolist()


@pytest.mark.parametrize("script", PAIRS)
def test_marks_that_are_letters_stay(tmp_path, script):
    marked, bare, are_accents = PAIRS[script]
    words = [*marked.split(), *bare.split()]
    texts = [" ".join([one, other]) for one in words for other in words]
    for model in MODELS if script in ("Latin", "Thai") else MODELS[:1]:
        tokenizer = training.train(iter(texts), tmp_path / model, model=model, vocab_size=400)
        assert (ids(tokenizer, marked) == ids(tokenizer, bare)) == are_accents, model
        assert tokenizer.unk_id not in ids(tokenizer, marked), model
        if not are_accents and model != "wordpiece":
            assert tokenizer.decode(ids(tokenizer, marked)).strip() == marked
        loaded = tokenizers.load(tmp_path / model)
        assert ids(loaded, marked) == ids(tokenizer, marked)
    assert script in marks.by_script(training.count(texts).letters)


def test_flags_decide_where_they_are_given(tmp_path):
    marked, bare, _ = PAIRS["Thai"]
    for given, same in ((True, True), (False, False)):
        tokenizer = training.train(
            iter([f"{marked} {bare}"] * 5), tmp_path, vocab_size=200, strip_accents=given
        )
        assert (ids(tokenizer, marked) == ids(tokenizer, bare)) == same
    tokenizer = training.train(iter(["Noël Noel"] * 5), tmp_path, vocab_size=200, lowercase=False)
    assert ids(tokenizer, "Noël") != ids(tokenizer, "Noel")


def test_a_few_letters_of_another_script_do_not_decide():
    english = ["The café is old. "] * 100
    assert training.is_stripped(training.count(english))
    many = training.count([*english, "мой"])
    assert not training.is_stripped(many)
    few = training.count([*english * 10, "мой"])
    assert training.is_stripped(few)
    assert marks.by_script(few.letters) == {
        "Latin": {"e\u0301": 1000}, "Cyrillic": {"и\u0306": 1},
    }  # fmt: skip
    assert marks.describe(few.letters, strips=True) == (
        "LETTERS ARE LOST in Cyrillic, where marks are no accents: Latin 1,000 (é to e); "
        "Cyrillic 1 (й to и). --strip_accents=false keeps them"
    )


def test_what_no_letter_loses_is_not_counted():
    counted = training.count(["❤️ 1\ufe0f\u20e3 ½ ﬁ plain ✔︎"])
    assert marks.describe(counted.letters, strips=True) == ""
    assert training.is_stripped(counted)


def test_counts_of_parts_add_up_and_come_back(tmp_path):
    texts = ["Noël ist da", "й und и, и́", "ascii only", "ที่ ท"]
    whole, parts = training.count(texts), counting.Counted()
    for number, text in enumerate(texts):
        counting.save(training.count([text]), tmp_path / str(number))
        parts.update(counting.load(tmp_path / str(number)))
    assert parts == whole
    counting.save(counting.Counted(), tmp_path / "none")
    assert counting.load(tmp_path / "none") == counting.Counted()


def remarks(tmp_path, text: str, **flags) -> list[str]:
    path = tmp_path / "text.txt"
    path.write_text(text, "utf-8")
    output = str(tmp_path / "vocabulary")
    train_tokenizer.main(
        train_tokenizer.Config(input=(str(path),), output=output, debug=True, **flags)
    )
    return files.read_json(tmp_path / "vocabulary" / "report.json")["remarks"]


def test_the_program_says_what_a_vocabulary_lacks(tmp_path, caplog):
    found = remarks(tmp_path, "ก" * 101 + " ฟ้า\n" + "lower words " * 20, vocab_size=250_000)
    assert len(found) == 4
    assert found[0].startswith("marks stay on letters; without them would change: Thai 1 (ฟ้ to ฟ)")
    assert " ids, not 250,000 (--vocab_size): the corpus has no more pieces" in found[1]
    assert found[2] == (
        "33.2 % of the characters stand in words of more than 100 characters, which WordPiece "
        "makes [UNK]; --model=unigram and --model=bpe cut words of any length"
    )
    assert "% OF THE TOKENS ARE [UNK] (Thai " in found[3]
    assert all(remark in caplog.text for remark in found)


def test_characters_beyond_the_alphabet_are_told(tmp_path):
    [*_, lost, unknown] = remarks(tmp_path, "abab acdc", vocab_size=20, limit_alphabet=2)
    assert lost.startswith("2 characters, 37.5 % of the text (cd ...; of each script Latin 37.5 %)")
    assert "--limit_alphabet" in lost
    assert unknown.startswith("20 % OF THE TOKENS ARE [UNK] (Latin 20 %)")


def test_a_vocabulary_that_lacks_nothing_needs_no_remark(tmp_path):
    tokenizer = training.train(["only words"] * 3, tmp_path, vocab_size=30)
    measured = {"model": "wordpiece", "vocab_size": tokenizer.size}
    measured |= {"sources": {"(all)": {"unknown_percent": 0.0, "coverage_percent": 100.0}}}
    spelled = report.spelling(tokenizer, {"only": 3, "words": 3})
    assert spelled == report.Spelling(limit=100, num_needed=8)
    assert report.remarks(measured, spelled, tokenizer.size) == []
