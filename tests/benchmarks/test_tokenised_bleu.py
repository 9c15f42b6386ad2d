"""BLEU of tokenized small letters against its definition, and by Moses's rules where they are."""

import collections
import math

import pytest

from benchmarks import tokenised_bleu
from benchmarks.tokenised_bleu import tokenised_bleu as bleu


def slow(answers, references) -> float:
    """Papineni et al. 2002, sections 2.1 and 2.2, over words between spaces."""
    right, total, lengths = [0] * 4, [0] * 4, [0, 0]
    for answer, reference in zip(answers, references, strict=True):
        one, other = answer.lower().split(), reference.lower().split()
        lengths = [lengths[0] + len(one), lengths[1] + len(other)]
        for n in range(1, 5):
            grams, others = (
                collections.Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
                for words in (one, other)
            )
            right[n - 1] += (grams & others).total()
            total[n - 1] += grams.total()
    if not all(right):
        return 0.0
    mean = sum(math.log(r / t) for r, t in zip(right, total, strict=True)) / 4
    return 100 * math.exp(mean + min(0, 1 - lengths[1] / lengths[0]))


@pytest.mark.parametrize(
    "answers",
    [
        ["A dog runs over the grey stones .", "two cats sleep in the sun ."],
        ["a dog runs over stones .", "two cats sleep here ."],  # shorter, and few in common
        ["a dog", ""],  # nothing of four words
    ],
)
def test_against_the_definition(answers):
    references = ["a dog runs over the grey stones .", "Two cats sleep in the warm sun ."]
    assert bleu(answers, references, str) == pytest.approx(slow(answers, references))


def test_files_by_the_rules_of_moses(tmp_path, capsys):
    pytest.importorskip("sacremoses")
    (tmp_path / "a.hyp").write_text("Ein Mann, der „läuft“, lacht laut.\n", "utf-8")
    (tmp_path / "a.de").write_text('Ein Mann, der "läuft", lacht.\n', "utf-8")
    found = tokenised_bleu.main(
        tokenised_bleu.Config(hypotheses=str(tmp_path / "a.hyp"), references=str(tmp_path / "a.de"))
    )
    tokens = "ein mann , der &quot; läuft &quot; , lacht laut ."
    assert found["tokenised_bleu"] == pytest.approx(slow([tokens], [tokens.replace(" laut", "")]))
    assert found["tokenised_bleu"] > found["sacrebleu"]
    assert "tokenised_bleu" in capsys.readouterr().out
