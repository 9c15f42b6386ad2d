"""Exact match and F1 against worked examples, and against SQuAD's rules written out slowly."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import squad
from roots_tf.metrics import answer_words
from roots_tf.metrics import question_answering as metric

WORDS = st.sampled_from(["the", "An", "a", "Paris", "paris.", "in", "U.S.", "-", "2,000", "été"])
ANSWERS = st.lists(WORDS, max_size=4).map(" ".join)


@pytest.mark.parametrize(
    ("predicted", "right", "exact", "f1"),
    [
        ("the Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("Denver", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Denver Broncos", ["Denver Broncos"], 0, 0.8),  # words count as often as they are
        ("Carolina", ["Denver", "Carolina Panthers", "Panthers"], 0, 2 / 3),
        ("co-operation", ["cooperation"], 1, 1),
        ("", [], 1, 1),
        ("Denver", [], 0, 0),
        ("", ["Denver"], 0, 0),
        ("the", ["Denver", "a"], 0, 0),  # of "a" nothing is left, so it does not count
    ],
)
def test_worked_examples(predicted, right, exact, f1):
    scores = metric.scores({"q": predicted}, {"q": right})
    assert scores == {"exact_match": exact, "f1": pytest.approx(f1)}


OTHERS = [
    ("zh", "北京大学", ["北京大学"], 1, 1),
    ("zh", "《北京大学》。", ["“北京大学”，"], 1, 1),  # punctuation of every script
    ("zh", "江泽民主", ["江泽民主席"], 0, 8 / 9),  # as characters; as words 0
    ("zh", "iPhone 7的", ["iphone７手机，iPhone 7的"], 0, 2 / 3),  # Latin words are whole
    ("zh", "在 Tesla 公司", ["在Tesla公司"], 1, 1),  # spaces part nothing
    ("ja", "東京タワー", ["東京タワ"], 0, 8 / 9),
    ("th", "น้ำใส", ["น้ำ"], 0, 2 / 3),  # a letter with its marks is one
    ("en", "«Denver»", ["Denver"], 0, 0),  # SQuAD drops the punctuation of ASCII alone
    ("other", "«Denver»", ["Denver"], 1, 1),
    ("de", "die „Grüne Woche“", ["der Grüne Woche"], 1, 1),
    ("de", "the Woche", ["Woche"], 0, 2 / 3),  # articles are those of the language
    ("es", "la Casa", ["casa"], 1, 1),
    ("other", "la Casa", ["casa"], 0, 2 / 3),
    ("hi", "दिल्ली।", ["दिल्ली"], 1, 1),
]


@pytest.mark.parametrize(("language", "predicted", "right", "exact", "f1"), OTHERS)
def test_worked_examples_of_other_languages(language, predicted, right, exact, f1):
    scores = metric.scores({"q": predicted}, {"q": right}, {"q": language})
    assert scores == {"exact_match": exact, "f1": pytest.approx(f1)}


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["东汉末年，天下大乱。"], "zh"),
        (["東京タワーは高い。"], "ja"),
        (["Der Rat ist mit den Leuten auf dem Weg."], "de"),
        (["Le chat est dans la maison avec les enfants."], "other"),
        (["Denver"], "en"),  # too little to say
        (["Москва - столица России, и в ней живут миллионы людей."], "other"),
        (["मैं दिल्ली में रहता हूँ"], "other"),
        ([], "en"),
    ],
)
def test_the_language_of_texts(texts, language):
    assert answer_words.language_of(texts) == language


def test_answers_without_their_last_character(data):
    found = squad.read(data / "xquad" / "xquad.zh.json")
    gold = {question.id: [question.answers[0].text] for question in found}
    shorter = {name: answer[:-1] for name, (answer,) in gold.items()}
    assert metric.scores(shorter, gold)["f1"] < 0.1
    assert metric.scores(shorter, gold, dict.fromkeys(gold, "zh"))["f1"] > 0.75
    han = {n: a for n, a in gold.items() if len(a[0]) > 4 and all("一" <= c <= "龥" for c in a[0])}
    assert metric.scores(shorter, han, dict.fromkeys(han, "zh"))["f1"] > 0.9


def slow_words(answer):
    letters = "".join(c for c in answer.lower() if c not in string.punctuation)
    return [word for word in letters.split() if word not in ("a", "an", "the")]


def slow_f1(predicted, right):
    rest, same = list(right), 0
    for word in predicted:
        if word in rest:
            rest.remove(word)
            same += 1
    if not predicted or not right:
        return float(predicted == right)
    precision, recall = same / len(predicted), same / len(right)
    return 2 * precision * recall / (precision + recall) if same else 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(ANSWERS, st.lists(ANSWERS, max_size=3)), min_size=1, max_size=5))
def test_against_the_rules_written_out(questions):
    exact, f1 = [], []
    for predicted, answers in questions:
        right = [words for words in map(slow_words, answers) if words] or [[]]
        exact.append(slow_words(predicted) in right)
        f1.append(max(slow_f1(slow_words(predicted), words) for words in right))
    scores = metric.scores(
        {str(i): predicted for i, (predicted, _) in enumerate(questions)},
        {str(i): answers for i, (_, answers) in enumerate(questions)},
    )
    assert scores["exact_match"] == pytest.approx(sum(exact) / len(exact))
    assert scores["f1"] == pytest.approx(sum(f1) / len(f1))


def test_real_answers_score_one_against_themselves(questions):
    gold = {
        question.id: [answer.text for answer in question.answers]
        for question in squad.read(questions)
    }
    first = {name: answers[0] for name, answers in gold.items()}
    assert metric.scores(first, gold) == {"exact_match": 1.0, "f1": 1.0}
    shorter = metric.scores({name: answer.split()[0] for name, answer in first.items()}, gold)
    assert 0.2 < shorter["exact_match"] < shorter["f1"] < 1


def test_a_question_without_a_prediction_is_an_error():
    with pytest.raises(KeyError):
        metric.scores({}, {"q": ["Denver"]})
