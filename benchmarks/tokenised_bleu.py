"""BLEU as papers on Multi30k report it, of tokenized small letters, beside sacreBLEU's.

    pip install sacremoses
    python -m benchmarks.tokenised_bleu --hypotheses=test.de.hyp --references=test.de --language=de

Published figures on Multi30k, such as the 41.0 of Revisit-MMT (Wu et al. 2021, arXiv:2105.14462),
are those of `multi-bleu.perl` on text that went through Moses's `lowercase.perl`,
`normalize-punctuation.perl` and `tokenizer.perl`, as the data set's own script has it
(multi30k/dataset, scripts/task1-tokenize.sh). Both files go the same way here, by sacremoses. Such
a figure depends on the tokens: it is for a comparison with a published one, and with nothing else
(Post 2018, arXiv:1804.08771, finds 1.8 points between settings that were common).
"""

import dataclasses
from collections.abc import Callable, Sequence

from roots_tf import program
from roots_tf.labelled import prediction_files
from roots_tf.metrics import generated
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    hypotheses: str = program.flag(help="answers: a text a line, or JSON lines with target")
    references: str = program.flag(help="right texts, a line each")
    language: str = program.flag("de", help="of the texts, by whose rules Moses parts them")


def main(config: Config) -> dict[str, float]:
    """Prints and returns both measures."""
    answers = prediction_files.read(config.hypotheses)
    answers = prediction_files.with_right(answers, config.references, {})
    texts = answers.answers, answers.golds
    tokenize = moses(config.language)
    found = {
        "tokenised_bleu": tokenised_bleu(*texts, tokenize),
        "sacrebleu": generated.scores(*texts, config.language)["bleu"],
    }
    for name, value in found.items():
        print(f"{name:<24} {value:.2f}")
    print(generated.signatures(*texts, config.language)["bleu"])
    return found


def tokenised_bleu(
    answers: Sequence[str], references: Sequence[str], tokenize: Callable[[str], str]
) -> float:
    """BLEU of words between spaces, in small letters, not smoothed: that of `multi-bleu.perl -lc`.

    Args:
        answers: generated texts.
        references: right ones.
        tokenize: gives a text in small letters with spaces between its tokens.
    """
    import sacrebleu

    metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", force=True)
    tokens = [[tokenize(text.lower()) or " " for text in texts] for texts in (answers, references)]
    return metric.corpus_score(tokens[0], [tokens[1]]).score


def moses(language: str) -> Callable[[str], str]:
    """Moses's rules for punctuation and tokens."""
    try:
        import sacremoses
    except ImportError as error:
        raise files.InputError(
            "missing-extra",
            "found no package sacremoses, which has Moses's rules; wanted it: pip install "
            "sacremoses",
        ) from error
    normalizer = sacremoses.MosesPunctNormalizer(language)
    tokenizer = sacremoses.MosesTokenizer(language)
    return lambda text: tokenizer.tokenize(normalizer.normalize(text), return_str=True)


if __name__ == "__main__":
    program.run(main, Config)
