"""What a fine-tuned model answers wrong: every kind of task, hostile texts, many classes."""

import collections

from roots_tf.reports import answers, run_page
from roots_tf.reports.run_folder import RunFolder
from tests.pages.parsed import Page
from tests.reports import folders


def shown(tmp_path, rows, language="en") -> Page:
    path = tmp_path / "dev_predictions.jsonl"
    path.write_text(folders.lines(rows))
    return Page(answers.shown(answers.read(path, language)))


def test_scores_over_seeds_a_confusion_matrix_and_what_is_wrong(tmp_path):
    page = Page(run_page.render(RunFolder.read(folders.finetuned(tmp_path / "run"))))
    assert "dev accuracy0.6250.50.750.25" in page.text
    assert "No better on dev than a trivial answer: seed 0." in page.text
    assert "dev by class, seed 1" in page.text and "of seed 1." in page.text
    assert {"accuracy: 0.5 at seed 0", "accuracy: 0.75 at seed 1"} <= set(page.titles)
    learning = ["seed 0 dev: 0.5 at step 20", "seed 1 dev: 0.75 at step 20", "trivial answer: 0.25"]
    assert set(learning) <= set(page.titles)
    assert "3 of 3 wrong among 9." in page.text
    assert (page.classes.count("right"), page.classes.count("wrong")) == (3, 6)
    assert "<script>alert(1)</script>U+202E" in page.text


def test_the_surest_wrong_answers_come_first(tmp_path):
    rows = [
        {"text": name, "label": "a", "score": score, "gold": "b"}
        for name, score in (("low", 0.1), ("high", 0.9), ("none", None), ("middle", 0.5))
    ]
    page = shown(tmp_path, [*rows, {"text": "fine", "label": "a", "score": 1.0, "gold": "a"}])
    order = [page.text.index(name) for name in ("high", "middle", "low", "none")]
    assert order == sorted(order)
    assert "fine" not in page.text and "4 of 4 wrong among 5." in page.text


def test_of_a_thousand_classes_the_pairs_that_are_confused_most():
    pairs = collections.Counter({(f"<c{i}>", f"<c{i}>"): 9 for i in range(1000)})
    pairs["<c7>", "<c8>"] = 3
    pairs |= {(f"<c{i}>", "<c0>"): 1 for i in range(1, 100)}
    page = Page(answers.confusion(pairs))
    assert "There are 1,000 classes: the 30 pairs" in page.text and "of 100 stand" in page.text
    first = page.text.index("<c7><c8>323.08")  # of 9 right, 3 to <c8>, 1 to <c0>
    assert first < page.text.index("<c1><c0>")


def test_tags_values_choices_answers_and_completions(tmp_path):
    tags = [
        {"text": "Anna was here", "tags": ["O", "O", "B-LOC"], "gold": ["B-PER", "O", "O"]},
        {"text": "北京", "tags": ["B-LOC", "O"], "gold": ["B-LOC", "I-LOC"]},
        {"text": "right", "tags": ["O"], "gold": ["O"]},
    ]
    page = shown(tmp_path, tags)
    assert "Anna B-PER, here OAnna O, here B-LOC2Anna was here" in page.text
    assert "京 I-LOC京 O1北京" in page.text and "2 of 2 wrong among 3." in page.text

    values = [{"text": str(i), "value": i + 0.5 * i, "gold": i} for i in range(4)]
    page = shown(tmp_path, [*values, {"text": "odd", "value": float("nan"), "gold": 1}])
    assert "example: 4.5 at right value 3" in page.titles
    assert "1 damaged predictions" in page.text and page.text.index("34.51.53") > 0

    choice = {"text": "q", "choice": 1, "choice_text": "<b>", "probabilities": [0.2, 0.8]}
    page = shown(tmp_path, [choice | {"gold": 0}, choice | {"gold": 1}])
    assert "01: <b>0.8q" in page.text

    asked = {"id": "1", "question": "who?", "score": 3.5, "gold": ["Anna", "Ann"]}
    wrong = asked | {"answer": "York", "start": 0, "end": 4}
    page = shown(tmp_path, [asked | {"answer": "the Anna"}, wrong, asked | {"answer": ""}])
    assert "Anna | AnnYork3.5who?" in page.text and "2 of 2 wrong among 3." in page.text
    assert "None is wrong." in shown(tmp_path, [asked | {"answer": "", "gold": []}]).text

    told = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "<hello>"}]
    answer = {"messages": told, "log_probability": -4.0, "tokens": 2, "right": 1}
    assert "<hello>1 of 22hi" in shown(tmp_path, [answer]).text


def test_predictions_of_older_versions_and_damaged_ones(tmp_path):
    page = shown(tmp_path, [{"text": "t", "label": "a", "score": 0.5}])
    assert "1 of 1 predictions do not hold the right answer" in page.text
    path = tmp_path / "odd.jsonl"
    path.write_bytes(b'{"label": "a", "gold": "b", "score": 1}\n[1]\n{"la\n\xff\xfe\n')
    found = answers.read(path)
    assert (found.wrong, found.damaged) == (1, 3)
    for odd in ({"label": [1], "gold": {}}, {"tags": 3, "gold": 4}, {"answer": None, "gold": None}):
        shown(tmp_path, [odd, odd | {"score": "x", "text": ["<b>"]}])
