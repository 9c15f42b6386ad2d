"""Vocabularies of scripts without spaces: what is counted, what is kept, what is reported."""

import itertools
import random
import time

import pytest
import tokenizers as hugging_face
from tokenizers import trainers

from pipelines import train_tokenizer
from roots_tf import tokenizers, words
from roots_tf.storage import files
from roots_tf.tokenizers import alphabet, counting, extending, report, scripts, training, unspaced
from roots_tf.tokenizers.shown import shown
from roots_tf.tokenizers.vocabulary import SPECIAL_TOKENS
from tests.tokenizers.conftest import TEXT

MODELS = ["wordpiece", "bpe", "unigram"]
LANGUAGES = {
    "zh": "国家主席江泽民今天在北京会见了美国总统克林顿，双方就BERT等问题交换了意见。",
    "ja": "東京タワーの高さは三百三十三メートルで、毎日たくさんの人がおとずれています。",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "lo": "ມະນຸດເກີດມາມີສິດເສລີພາບແລະສະເໝີໜ້າກັນໃນທາງກຽດຕິສັກແລະທາງສິດທິ",
    "km": "មនុស្សទាំងអស់កើតមកមានសេរីភាពនិងភាពស្មើៗគ្នាក្នុងសិទ្ធិ",
    "my": "လူတိုင်းသည်တူညီလွတ်လပ်သောဂုဏ်သိက္ခာဖြင့်လည်းကောင်း",
    "bo": "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང་",
}


def text_of(language: str, lines: int = 60) -> list[str]:
    """Lines that hold the words of a sentence in other orders, so that no clause comes twice."""
    random.seed(3)
    parts = [part for part in words.cut(LANGUAGES[language], language) if part[0].isalpha()]
    return ["".join(random.sample(parts, len(parts))) + "。" for _ in range(lines)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_pieces_put_together_are_the_words(language, model):
    rules = training._RULES[model]
    for word in (LANGUAGES[language].split("，")[0], "abc" + LANGUAGES[language][:9] + "def"):
        for text in (word, rules.lead + word):
            found = list(unspaced.pieces(text, language, rules))
            assert "".join(piece.removeprefix(rules.inside) for piece in found) == text
            assert max(map(len, found)) < 30
    assert all(piece.startswith(rules.inside) for piece in found[1:])


def test_single_characters_are_counted_in_runs():
    assert unspaced.cut("ກຂຄງຈຊຍດຕ", "lo") == ["ກຂຄງ", "ຈຊຍດ", "ຕ"]
    assert unspaced.cut("我们 北京", "zh") == ["我们", " ", "北京"]
    assert list(unspaced.pieces(" 北京", "zh", training._RULES["bpe"])) == [" ", "北京"]
    assert list(unspaced.pieces(" AI北京", "zh", training._RULES["bpe"])) == [" AI", "北京"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("language", ["zh", "th"])
def test_counts_do_not_grow_with_the_text(language, model):
    few, many = (training.count(text_of(language, n), model=model) for n in (100, 400))
    words_of_few, words_of_many = few.of(False), many.of(False)
    assert len(words_of_many) < 1.5 * len(words_of_few)  # of clauses there are four times as many
    assert words_of_many.total() == pytest.approx(4 * words_of_few.total(), rel=0.02)
    assert few.characters[language] == sum(map(len, text_of(language, 100)))


def test_counts_of_chinese_parts_add_up(monkeypatch):
    texts = [*text_of("zh"), *text_of("ja"), "plain words", *TEXT.splitlines()]
    whole, parts = training.count(texts, model="bpe"), counting.Counted()
    for text in texts:
        parts.update(training.count([text], model="bpe"))
    assert parts == whole
    monkeypatch.setattr(counting, "MAX_CHARACTERS", 30)
    assert training.count(texts, model="bpe") == whole


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_script_is_spelled_and_read_back(tmp_path, language):
    for model in MODELS:
        tokenizer = training.train(
            iter(text_of(language)), tmp_path / model, model=model, vocab_size=400, lowercase=False
        )
        line = text_of(language, 1)[0]
        ids, _ = tokenizer.encode([line])
        assert tokenizer.unk_id not in ids.tolist(), model
        assert tokenizer.decode(ids).replace(" ", "") == line, model
        graph = tokenizer.graph().tokenize([line])
        assert graph.flat_values.numpy().tolist() == ids.tolist()
        if language != "bo" and model == "unigram":
            assert len(ids) < len(line)


def test_clauses_of_kana_and_thai_are_spelled_by_pieces_inside_words(tmp_path):
    tokenizer = training.train(iter(text_of("th")), tmp_path, vocab_size=300)
    ids, _ = tokenizer.encode(text_of("th", 1))
    pieces = [tokenizer.vocabulary[i] for i in ids]
    assert sum(len(piece.removeprefix("##")) > 2 for piece in pieces[1:-1]) > 5
    assert all(piece.startswith("##") for piece in pieces[1:-1])


def test_wordpiece_is_what_its_trainer_gives(tmp_path):
    """Of words at spaces, the trainer of `tokenizers` that writes "##" itself gives the same."""
    texts = ["the lower lowest slow widow, wide; wider"] * 3 + ["new newer mew the mower"] * 4
    tokenizer = training.train(iter(texts), tmp_path, vocab_size=60)
    counted = training.count(texts).words
    characters = sorted(alphabet.occurrences(counted))
    inside = set().union(*(word[1:] for word in counted))
    bare = hugging_face.Tokenizer(hugging_face.models.WordPiece())
    bare.pre_tokenizer = hugging_face.pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=60,
        min_frequency=2,
        special_tokens=[*SPECIAL_TOKENS, *(f"##{c}" for c in characters if c in inside)],
        initial_alphabet=characters,
        show_progress=False,
    )
    bare.train_from_iterator(counting.repeated(counted), trainer)
    assert dict(zip(tokenizer.vocabulary, itertools.count(), strict=False)) == bare.get_vocab()


# The alphabet.


def test_the_alphabet_is_what_covers_the_text():
    found = {chr(0x4E00 + i): 10_000 // (i + 1) for i in range(3000)}
    counts = alphabet.Counter(found)
    for coverage in (0.9, 0.99, 0.9995, 1.0):
        kept = alphabet.choose(counts, 10_000, coverage=coverage)
        share = sum(found[c] for c in kept) / counts.total()
        assert share >= coverage and len(kept) >= 1000
        fewer = sorted(kept, key=found.get)[1:]
        assert len(kept) == 1000 or sum(found[c] for c in fewer) / counts.total() < coverage
    assert len(alphabet.choose(counts, 10_000, limit=7)) == 7
    assert len(alphabet.choose(counts, 2500)) == 2500
    assert len(alphabet.choose(counts, 2500, twice=found)) == 1250
    with pytest.raises(files.InputError, match="room for 100, .*raise --vocab_size"):
        alphabet.choose(counts, 100)


def chinese(tmp_path, monkeypatch, caplog, num_characters: int, **flags) -> tuple[dict, str]:
    """The report of a vocabulary for a text of many characters, and what was logged."""
    random.seed(1)
    characters = [chr(0x4E00 + i) for i in range(num_characters)]
    weights = [1 / (i + 20) for i in range(num_characters)]
    lines = ["".join(random.choices(characters, weights, k=40)) for _ in range(1500)]
    (tmp_path / "a.txt").write_text("\n".join(lines), "utf-8")
    output = str(tmp_path / "vocabulary")
    train_tokenizer.main(
        train_tokenizer.Config(
            input=(str(tmp_path / "a.txt"),), output=output, num_workers=1, **flags
        )
    )
    return files.read_json(tmp_path / "vocabulary" / "report.json"), caplog.text


@pytest.mark.parametrize("model", ["wordpiece", "unigram"])
def test_many_characters_are_known_by_default(tmp_path, monkeypatch, caplog, model):
    measured, log = chinese(tmp_path, monkeypatch, caplog, 3000, model=model, vocab_size=6000)
    han = measured["scripts"]["Han"]
    assert han["coverage_percent"] > 99.9
    assert "OF THE TOKENS ARE [UNK]" not in log
    assert 0 < han["tokens_per_character"] <= 1.1
    assert measured["words_cut_by"] == {"zh": words.segmenter("zh")}


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"limit_alphabet": 1000}, "or --limit_alphabet takes in more"),
        ({"vocab_size": 2000}, r"2,000 ids are too few for 2,9"),
        ({"character_coverage": 0.5, "limit_alphabet": 500}, "a larger --character_coverage"),
    ],
)
def test_unknown_tokens_are_loud(tmp_path, monkeypatch, caplog, flags, why):
    measured, log = chinese(tmp_path, monkeypatch, caplog, 3000, **{"vocab_size": 6000} | flags)
    unknown = measured["scripts"]["Han"]["unknown_percent"]
    assert unknown > 1
    assert "OF THE TOKENS ARE [UNK] (Han " in log
    assert why.replace(r"\,", ",") in log


# The report.


@pytest.mark.parametrize("model", MODELS)
def test_scripts_of_tokens_are_those_of_the_slow_way(vocabulary, model):
    tokenizer = tokenizers.load(vocabulary(model))
    texts = [*TEXT.splitlines(), "龍龘 unknown ☃ 北京\ud800", "", "  "]
    found = scripts.measure(tokenizer, iter(texts))
    wanted = {}
    for text in texts:
        text = text.replace("\ud800", "\ufffd" * 3)
        encoded = tokenizer.encode_with_offsets([text])
        lost = set()
        for token, start, end in zip(encoded.ids, encoded.starts, encoded.ends, strict=True):
            letters = [scripts.script_of(c) for c in text[start:end]]
            name = next((n for n in letters if n != scripts.NONE), scripts.NONE)
            counts = wanted.setdefault(name, alphabet.Counter())
            counts["tokens"] += 1
            counts["unknown"] += token == tokenizer.unk_id
            if token == tokenizer.unk_id:
                lost |= set(range(start, end))
        for place, character in enumerate(text):
            counts = wanted.setdefault(scripts.script_of(character), alphabet.Counter())
            counts["characters"] += 1
            counts["known"] += place not in lost
    assert found == wanted
    assert {"Latin", "Han", "kana", "Hangul", "Cyrillic", "Greek", "Hebrew"} <= found.keys()


def test_scripts_have_the_names_that_people_know():
    characters = "京々ｶーひＡéё한ภ་ខမ𠮷１。☃\u0301ªµ"
    assert [scripts.script_of(c) for c in characters] == [
        *("Han", "Han", "kana", "kana", "kana", "Latin", "Latin", "Cyrillic", "Hangul", "Thai"),
        *("(none)", "Khmer", "Myanmar", "Han", *["(none)"] * 6),
    ]


def test_pieces_of_bytes_are_shown_as_text(tmp_path):
    tokenizer = training.train(iter(text_of("zh")), tmp_path, model="bpe", vocab_size=400)
    measured = report.measure(tokenizer, report.SourceTexts())
    assert "北京" in shown(tokenizer, tokenizer.vocabulary)
    assert not any(c in "".join(measured["longest_tokens"]) for c in "åäæç")


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_new_words_of_chinese(tmp_path, model):
    old = training.train(iter(text_of("zh")), tmp_path, model=model, vocab_size=330)
    texts = ["我喜欢人工智能和大语言模型", "人工智能很好"]
    assert "人工智能" in extending.split_words(old, texts, 2, 9)
    new = extending.extend(old, ["人工智能"])
    assert len(new.encode(["北京人工智能"])[0]) == len(new.encode(["北京"])[0]) + 1


def test_new_words_that_wordpiece_cannot_take_are_not_proposed(tmp_path):
    old = training.train(iter(text_of("zh")), tmp_path, vocab_size=330)
    assert extending.split_words(old, ["人工智能很好 berttt"], 2, 9) == ["berttt"]


def test_a_long_clause_takes_linear_time():
    text = LANGUAGES["lo"] * 1000
    began = time.process_time()
    assert training.count([text], model="unigram").of(False).total() > 1000
    assert time.process_time() - began < 10
