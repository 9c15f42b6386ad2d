"""Scores of answers to questions, as SQuAD's own evaluation gives them.

Rajpurkar et al. 2016 (arXiv:1606.05250, section 6.1) and, for questions without an answer, 2018
(arXiv:1806.03822). Shares, not percent.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """What of an answer is compared: lower case, no ASCII punctuation, no articles, single spaces.

    >>> normalize("The  U.N.'s   headquarters, an office")
    'uns headquarters office'
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def scores(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Means over the questions of the best score against any right answer.

    Args:
        predictions: by the id of a question the predicted answer; "" says that there is none.
        gold: by id the right answers; none where the text does not hold one, and then "" is right.

    Returns:
        `exact_match`, the share of answers equal to a right one when normalised, and `f1`, the mean
        F1 of their words as bags. As in the evaluation of 2.0, right answers of which normalisation
        leaves nothing do not count, and an answer that is empty has F1 1 if both are, else 0.

    Raises:
        KeyError: a question has no prediction.
    """
    exact, f1 = 0.0, 0.0
    for name, answers in gold.items():
        predicted = normalize(predictions[name])
        right = list(filter(None, map(normalize, answers))) or [""]
        exact += predicted in right
        f1 += max(_f1(predicted.split(), answer.split()) for answer in right)
    return {"exact_match": exact / max(len(gold), 1), "f1": f1 / max(len(gold), 1)}


def _f1(predicted: list[str], right: list[str]) -> float:
    if not predicted or not right:
        return float(predicted == right)
    common = (Counter(predicted) & Counter(right)).total()
    return 2 * common / (len(predicted) + len(right))
