"""The paired bootstrap against resamples of the texts themselves, and what must hold of it."""

import random

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.metrics import generated, significance

REFERENCES = [f"the {a} dog {b} over {c} grey stones ." for a in ("big", "small")
              for b in ("jumps", "runs", "walks") for c in ("four", "five")]  # fmt: skip


def worse(share, seed=0):
    rng = random.Random(seed)
    return [" ".join(w for w in text.split() if rng.random() > share) for text in REFERENCES]


def slow_differences(one, other, resamples, seed):
    """BLEU and exact match of texts that are drawn, scored anew each time."""
    random = np.random.Generator(np.random.Philox(seed))
    found = {"bleu": [], "exact_match": []}
    for _ in range(resamples):
        drawn = random.integers(len(one), size=len(one))
        references = [REFERENCES[i] for i in drawn]
        texts = [[system[i] for i in drawn] for system in (one, other)]
        bleu = [sacrebleu.corpus_bleu(answers, [references]).score for answers in texts]
        right = [
            np.mean([a == b for a, b in zip(answers, references, strict=True)]) for answers in texts
        ]
        found["bleu"].append(bleu[0] - bleu[1])
        found["exact_match"].append(right[0] - right[1])
    return found


def test_against_resamples_of_the_texts():
    one, other = worse(0.1), worse(0.2, 1)
    measures = [generated.measures(texts, REFERENCES, "en") for texts in (one, other)]
    found = significance.compare(*measures, resamples=200, seed=3)
    for name, drawn in slow_differences(one, other, 200, 3).items():
        lowest, highest = np.percentile(drawn, [2.5, 97.5])
        assert found[name]["lowest"] == pytest.approx(lowest)
        assert found[name]["highest"] == pytest.approx(highest)
        wins, losses = (sum(sign * each >= 0 for each in drawn) for sign in (1, -1))
        assert found[name]["p"] == pytest.approx(min(1, 2 * (min(wins, losses) + 1) / 201))
        scores = [generated.scores(texts, REFERENCES, "en")[name] for texts in (one, other)]
        assert [found[name]["score"], found[name]["against"]] == pytest.approx(scores)
        assert found[name]["difference"] == pytest.approx(scores[0] - scores[1])


def test_equal_files_do_not_differ():
    measures = generated.measures(worse(0.2), REFERENCES, "en")
    for found in significance.compare(measures, measures, 100).values():
        assert (found["difference"], found["lowest"], found["highest"], found["p"]) == (0, 0, 0, 1)


def test_a_clearly_worse_file_is_told_apart():
    measures = [generated.measures(worse(share), REFERENCES, "en") for share in (0.05, 0.6)]
    both = significance.compare(*measures)
    turned = significance.compare(*measures[::-1])
    for name in ("bleu", "chrf", "rouge1", "rougeLsum"):
        found = both[name]
        assert found["p"] < 0.05 and 0 < found["lowest"] < found["difference"] < found["highest"]
        assert turned[name]["lowest"] == pytest.approx(-found["highest"])
        assert turned[name]["p"] == found["p"]


def test_chance_is_not_told_apart():
    rng = np.random.default_rng(0)
    drawn = [significance.mean(rng.integers(2, size=400)) for _ in range(40)]
    found = [
        significance.compare({"m": one}, {"m": other}, 200)["m"]["p"]
        for one, other in zip(drawn[::2], drawn[1::2], strict=True)
    ]
    assert sum(p < 0.05 for p in found) <= 4  # of 20: five or more are once in 400 such tests


def test_the_seed_decides():
    measures = [generated.measures(worse(share), REFERENCES, "en") for share in (0.2, 0.3)]
    found = [significance.compare(*measures, 100, seed) for seed in (1, 1, 2, -1)]
    assert found[0] == found[1] != found[2]
    assert found[3]["bleu"]["score"] == found[0]["bleu"]["score"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_the_interval_and_p_agree(pairs):
    one, other = ({"m": significance.mean(values)} for values in zip(*pairs, strict=True))
    found = significance.compare(one, other, 100)["m"]
    assert found["lowest"] <= found["highest"] and 0 < found["p"] <= 1
    if found["lowest"] > 0 or found["highest"] < 0:
        assert found["p"] <= 2 * (0.025 * 99 + 1 + 1) / 101


def test_as_many_examples_of_both():
    one, other = ({"m": significance.mean(values)} for values in ([1, 0], [1]))
    with pytest.raises(ValueError, match="wanted as many of each"):
        significance.compare(one, other)
