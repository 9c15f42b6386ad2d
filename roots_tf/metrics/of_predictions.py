"""What predictions of each kind are measured by where their model is not at hand."""

from collections.abc import Sequence

from roots_tf.metrics import generated, question_answering
from roots_tf.metrics.significance import Measure, mean
from roots_tf.storage.files import InputError


def measures(field: str, answers: Sequence, golds: Sequence, language: str) -> dict[str, Measure]:
    """Measures that are functions of sums over the examples.

    Args:
        field: that predictions hold their answer in: `target`, texts that were generated; `label`
            and `choice`, classes; `answer`, of questions.
        answers: one an example.
        golds: what is right; of a question all right answers.
        language: that texts are scored in, one of `answer_words.Language`.

    Returns:
        Of texts those of `generated.scores`; of classes `accuracy`; of questions `exact_match` and
        `f1`.

    Raises:
        InputError: answers to questions have no language, or packages are not installed.
    """
    if field == "target":
        return generated.measures(answers, golds, language)
    if field != "answer":
        pairs = zip(answers, golds, strict=True)
        return {"accuracy": mean([answer == gold for answer, gold in pairs])}
    if language == "auto":
        raise InputError(
            "missing-flag",
            "found answers to questions without their contexts; wanted the language that they are "
            "scored in: --metric_language=en, or what finetune told in its report",
        )
    found = [
        question_answering.scores({"": answer}, {"": gold}, {"": language})
        for answer, gold in zip(answers, golds, strict=True)
    ]
    return {name: mean([scores[name] for scores in found]) for name in ("exact_match", "f1")}
