"""Scores of named entities by spans, as conlleval gives them (Tjong Kim Sang & De Meulder 2003)."""

from collections import Counter
from collections.abc import Sequence


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Entities of a sentence: type, first word, and the word after the last.

    An `I-` that does not go on with an entity of its type begins one, as in conlleval: at the start
    of a sentence, after `O`, and after another type.

    Args:
        tags: O, B-type or I-type of each word.

    >>> entities(["B-PER", "I-PER", "I-LOC", "O", "I-ORG", "B-ORG"])
    [('PER', 0, 2), ('LOC', 2, 3), ('ORG', 4, 5), ('ORG', 5, 6)]
    """
    spans, entity_type, start = [], None, 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, next_type = tag.partition("-")
        if entity_type is not None and (prefix != "I" or next_type != entity_type):
            spans.append((entity_type, start, i))
            entity_type = None
        if prefix != "O" and entity_type is None:
            entity_type, start = next_type, i
    return spans


def scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict:
    """Precision, recall and F1 of entities, which are right where type, start and end all are.

    Args:
        gold: tags of the words of each sentence.
        predicted: tags of the same words.

    Returns:
        `precision`, `recall`, `f1` over all entities, `accuracy` of the tags of words, all shares,
        0 where undefined; and `by_type`: for each type, in order of the alphabet, its `precision`,
        `recall`, `f1` and `support`, the number of right entities there are.

    Raises:
        ValueError: two sequences differ in length.
    """
    there, given, right = Counter(), Counter(), Counter()  # entities by type
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        all_of_gold, all_given = set(entities(gold_tags)), set(entities(predicted_tags))
        there.update(name for name, _, _ in all_of_gold)
        given.update(name for name, _, _ in all_given)
        right.update(name for name, _, _ in all_of_gold & all_given)
    words = [
        a == b
        for gold_tags, predicted_tags in zip(gold, predicted, strict=True)
        for a, b in zip(gold_tags, predicted_tags, strict=True)
    ]
    overall = _shares(right.total(), given.total(), there.total())
    return overall | {
        "accuracy": sum(words) / max(len(words), 1),
        "by_type": {
            name: _shares(right[name], given[name], there[name]) | {"support": there[name]}
            for name in sorted(there | given)
        },
    }


def _shares(right: int, given: int, there: int) -> dict[str, float]:
    return {
        "precision": right / max(given, 1),
        "recall": right / max(there, 1),
        "f1": 2 * right / max(given + there, 1),
    }
