"""Words nearest to one that nobody knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf import spelling

FLAGS = [
    *("--batch_size", "--learning_rate", "--num_epochs", "--num_steps", "--warmup_steps"),
    *("--max_seq_length", "--output", "--size", "--seed", "--seeds", "--objective", "--mask_rate"),
]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--batchsize", ["--batch_size"]),
        ("--learning-rate", ["--learning_rate"]),
        ("--epochs", ["--num_epochs"]),
        ("--epoch", ["--num_epochs"]),
        ("--num_train_epochs", ["--num_epochs"]),
        ("--per_device_train_batch_size", ["--batch_size"]),
        ("--max_length", ["--max_seq_length"]),
        ("--output_dir", ["--output"]),
        ("--lr", ["--learning_rate"]),
        ("--steps", ["--num_steps", "--warmup_steps"]),
        ("--ouptut", ["--output"]),
        ("--SIZE", ["--size"]),
        ("--seedz", ["--seed", "--seeds"]),
        ("--quantum", []),
        ("--x", []),
        ("--", []),
    ],
)
def test_a_flag(word, meant):
    assert spelling.nearest(word, FLAGS) == meant


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("tinny", ("tiny", "mini", "small"), ["tiny"]),
        ("fintune", ("finetune", "predict"), ["finetune"]),
        ("build_example", ("build-examples", "inspect-examples"), ["build-examples"]),
        ("Sentence ", ("sentence", "label"), ["sentence"]),
        ("正面", ("负面", "中性"), []),
        ("+", ("-", "+ "), []),
        ("ａ", (), []),
    ],
)
def test_a_word(word, known, meant):
    assert spelling.nearest(word, known) == meant


def test_suggestion_ends_a_message():
    assert spelling.suggestion("--batchsize", FLAGS) == "; did you mean --batch_size?"
    assert spelling.suggestion("--seedz", FLAGS) == "; did you mean --seed or --seeds?"
    assert spelling.suggestion("--quantum", FLAGS) == ""


def slow_distance(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    costs = [
        slow_distance(one[1:], other) + 1,
        slow_distance(one, other[1:]) + 1,
        slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
    ]
    if len(one) > 1 and len(other) > 1 and one[0] == other[1] and one[1] == other[0]:
        costs.append(slow_distance(one[2:], other[2:]) + 1)
    return min(costs)


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(0, 5))
def test_distance_is_that_of_a_slow_count(one, other, most):
    expected = slow_distance(one, other)
    assert min(spelling._distance(one, other, most), most + 1) == min(expected, most + 1)


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=6))
def test_any_text(word, known):
    found = spelling.nearest(word, known)
    assert set(found) <= set(known) and len(found) <= spelling.MOST
    if word in known:
        assert word in found
