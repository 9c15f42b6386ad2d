"""Scores of answers to questions, as the evaluations of SQuAD, MLQA and CMRC 2018 give them.

Rajpurkar et al. 2016 (arXiv:1606.05250, section 6.1) and, for questions without an answer, 2018
(arXiv:1806.03822). Shares, not percent. What of an answer is compared depends on its language: see
`answer_words`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from roots_tf.metrics.answer_words import tokens


def scores(
    predictions: Mapping[str, str],
    gold: Mapping[str, Sequence[str]],
    languages: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Means over the questions of the best score against any right answer.

    Args:
        predictions: by the id of a question the predicted answer; "" says that there is none.
        gold: by id the right answers; none where the text does not hold one, and then "" is right.
        languages: by id the language that its answers are compared in, one of
            `answer_words.Language` but "auto"; None: all in English.

    Returns:
        `exact_match`, the share of answers equal to a right one in what is compared, and `f1`, the
        mean F1 of their words as bags. As in the evaluation of 2.0, right answers of which nothing
        is left to compare do not count, and an answer that is empty has F1 1 if both are, else 0.

    Raises:
        KeyError: a question has no prediction.
    """
    exact, f1 = 0.0, 0.0
    for name, answers in gold.items():
        language = languages[name] if languages else "en"
        predicted = tokens(predictions[name], language)
        right = [found for answer in answers if (found := tokens(answer, language))] or [[]]
        exact += predicted in right
        f1 += max(_f1(predicted, answer) for answer in right)
    return {"exact_match": exact / max(len(gold), 1), "f1": f1 / max(len(gold), 1)}


def _f1(predicted: list[str], right: list[str]) -> float:
    if not predicted or not right:
        return float(predicted == right)
    common = (Counter(predicted) & Counter(right)).total()
    return 2 * common / (len(predicted) + len(right))
