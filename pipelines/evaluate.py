"""Score a model on a labelled file, a causal one on texts, or its vectors; or answers.

    roots evaluate --model=work/task/model --input=test.tsv --output=scores.json
    roots evaluate --model=work/gpt/model --input=held_out.txt
    roots evaluate --model=work/minilm --input=sts/test.tsv
    roots evaluate --model=work/minilm --input=test.jsonl --measure=clustering
    roots evaluate --model=work/vectors/model --input=queries.jsonl --corpus=corpus.jsonl
    roots evaluate --answers=one.hyp --against=other.hyp --input=test.en,test.de

Takes seconds and then as long as the model does. Of a fine-tuned model it reads what finetune
reads, and prints the scores of the task. Of a causal language model it reads text files, JSON
lines and Parquet, and prints perplexity a token and bits a byte, over every token exactly once: a
document longer than the window is read in windows that overlap. Of any other it measures vectors:
how cosines of pairs go with values, how k-means parts the texts of different labels, or, with a
--corpus, how far up a search finds what is relevant. Of answers that are there already, of any
system, it needs no model: it scores texts by BLEU, chrF and ROUGE, labels by accuracy, and says by
a paired bootstrap whether one file of answers is better than another. --output writes the scores as
JSON.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

from absl import logging

from roots_tf import labelled, models, program, scoring, tasks, tokenizers, training
from roots_tf.corpus import reading
from roots_tf.inference import vector_measures
from roots_tf.inference.vector_flags import CorpusVectorFlags
from roots_tf.metrics import answer_words
from roots_tf.storage import encodings, files, inputs

Measure = Literal["auto", "answers", "perplexity", "similarity", "clustering", "retrieval"]


@dataclasses.dataclass(frozen=True)
class TextFlags:
    """How a causal language model reads texts."""

    window: int = program.flag(
        0, help="tokens that are read at once; 0: as many as the model takes", **program.TOKENS
    )
    stride: int = program.flag(
        0,
        help="tokens that are new in each window of a long text after the first: fewer give each "
        "more to look back at, and take longer; 0: half of the window",
        minimum=1,
        maximum=1 << 20,
    )
    documents: reading.Layout = program.flag(
        "file", help="what a document is in plain text: parted by blank lines, file or line"
    )


@dataclasses.dataclass(frozen=True)
class AnswerFlags:
    """Answers that are there already."""

    answers: str = program.flag(
        "",
        help="answers to be scored without a model: JSON lines with target as predict and finetune "
        "write them, or a text a line; what is right is gold there, or in --input",
        role="input",
    )
    against: str = program.flag(
        "", help="answers of another system to the same, which --answers is compared with",
        role="input",
    )  # fmt: skip
    train: str = program.flag(
        "",
        help="training pairs, like --input: the target of the most similar source is one more "
        "trivial answer beside the scores",
        role="input",
    )
    resamples: int = program.flag(
        1000, help="of the test set, by which the two are compared", minimum=1, maximum=1_000_000
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `evaluate`."""

    model: str = program.flag(
        "",
        help="model folder that finetune wrote, or pretrain, or import",
        role="input",
    )
    input: str = program.flag(
        "",
        help="labelled file; of a causal language model a file, folder or pattern of texts; of "
        "--answers the right texts: a table with target, perhaps source, or test.en,test.de",
        role="input",
    )
    output: str = program.flag("", help="JSON file of scores; none: printed", role="output_file")
    measure: Measure = program.flag(
        "auto",
        help="what is measured of a model: auto: retrieval if there is a --corpus, answers if it "
        "was fine-tuned, else perplexity of a causal one and similarity of another",
    )
    columns: tuple[str, ...] = program.flag(
        (),
        help="names of columns that differ: text=sentence,label=gold; or their order: label,text",
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    metric_language: answer_words.Language = program.flag("auto", help=answer_words.HELP)
    texts: TextFlags = program.group(TextFlags(), "texts")
    given: AnswerFlags = program.group(AnswerFlags(), "answers")
    vectors: CorpusVectorFlags = program.group(CorpusVectorFlags(), "vectors")
    corpus: str = program.flag(
        "",
        help="table of id and text, which is searched for what is relevant to each --input: a "
        "table of text and relevant, ids of the corpus",
        group="vectors",
        role="input",
    )
    seed: int = program.flag(0, help="of the resamples, or of k-means", **program.SEED)
    batch_size: int = program.flag(64, help="labelled rows computed at once", **program.ROWS)
    debug: bool = program.flag(
        False, help="256 examples only, drawn from all, or the first 4 documents or 256 answers"
    )


@program.takes_urls
def main(config: Config) -> dict:
    """Prints and returns the scores, and writes them where `--output` says."""
    program.check(config)
    inputs.check(config, "answers", "against", "train")
    training.keep_freed_memory()
    scores = of_files(config) if config.given != AnswerFlags() else of_model(config)
    for name, value in scores.items():
        if isinstance(value, dict):
            print(name)
            for label, parts in value.items():
                print(f"  {label:<16} {_shown(parts)}")
        else:
            print(f"{name:<24} {f'{value:.4f}' if isinstance(value, float) else value}")
    if config.output:
        files.write_json(config.output, scores)
    return scores


def _shown(parts: dict[str, float] | str) -> str:
    """Scores of a class, a trivial answer or a comparison on a line; or a signature."""
    if isinstance(parts, str):
        return parts
    return "  ".join(f"{key} {number:.3f}" for key, number in parts.items())


def of_model(config: Config) -> dict:
    """Scores of a model.

    Raises:
        InputError: no model or no input is given; or as for `MEASURES`.
    """
    for name in ("model", "input"):
        if not getattr(config, name):
            raise files.InputError(
                "missing-flag",
                f"found no --{name}; wanted --model and --input, or --answers that are there",
            )
    described, measure = models.describe(config.model), config.measure
    if measure == "auto":
        usual = "perplexity" if models.is_causal(described) else "similarity"
        usual = "answers" if described.get("task") else usual
        measure = "retrieval" if config.corpus else usual
    refuse_others(config, measure)
    inputs.check(config, "input", "corpus")
    if measure in vector_measures.MEASURES:
        return vector_measures.MEASURES[measure](config)
    return MEASURES[measure](config, described)


def refuse_others(config: Config, measure: str) -> None:
    """Refuses flags that a measure does not read.

    Args:
        config: of the program.
        measure: of a model.

    Raises:
        InputError: there is one.
    """
    given, usual = program.flat(config), program.flat(Config())
    for name in sorted({*itertools.chain(*READ.values())} - READ[measure]):
        if given[name] != usual[name]:
            readers = [other for other in READ if name in READ[other]]
            raise files.InputError(
                "flags-conflict",
                f"found --{name} and the measure {measure}; wanted --{name} with --measure="
                f"{' or '.join(readers)} alone",
            )


def answers(config: Config, described: dict) -> dict:
    """Scores of a fine-tuned model on a labelled file.

    Args:
        config: of the program.
        described: what `models.describe` gives for the model.

    Raises:
        InputError: the model was not fine-tuned, or something is wrong with the file.
    """
    kind = tasks.restore(described)
    if config.metric_language != "auto":
        kind = kind.with_metric_language(config.metric_language)
    tokenizer = tokenizers.load(config.model)
    examples = labelled.read_examples(kind, config.input, config)
    if config.debug:
        examples = labelled.sample(examples, 256, kind.labels_of(examples))
    model, size = models.load(config.model), config.batch_size
    predictions = tasks.answer(kind, model, tokenizer, examples, batch_size=size, labelled=True)
    return kind.scores(examples, predictions) | kind.conditions(examples)


def perplexity(config: Config, described: dict) -> dict:
    """Perplexity and bits a byte of a causal language model.

    Args:
        config: of the program.
        described: what `models.describe` gives for the model.

    Raises:
        InputError: the model is none, the window is longer than it takes, or a file cannot be read.
    """
    if not models.is_causal(described):
        raise files.InputError(
            "wrong-model-kind",
            f"found a model of kind {described['kind']} in {config.model}, which sees what is to "
            "be predicted; wanted a causal_lm; of a masked model `roots score` gives "
            "pseudo-log-likelihoods",
        )
    longest = described["encoder"].max_sequence_length
    window = config.texts.window or longest
    stride = config.texts.stride or max(1, window // 2)
    if window > longest or stride > window:
        raise files.InputError(
            "wrong-window",
            f"found --window={window} and --stride={stride}; wanted a window of at most {longest}, "
            "which the model takes, and a stride of at most the window",
        )
    tokenizer = tokenizers.load(config.model)
    texts = _texts(config)
    scorer = scoring.Scorer(models.load(config.model), tokenizer.causal_pad_id or 0)
    found = scoring.of_texts(scorer, texts, tokenizer, room=window, stride=stride)
    if found.unknown:
        logging.warning(
            "%d of %d tokens stand for what the vocabulary lacks: perplexity and bits a byte do "
            "not count what they are",
            *(found.unknown, found.tokens),
        )
    return found.report() | {"window": window, "stride": stride}


MEASURES = {"answers": answers, "perplexity": perplexity}
_OF_VECTORS = {"pooling", "prompt_name"}
# Flags that some measures read and others do not.
READ = {
    "answers": {"columns", "metric_language"},
    "perplexity": {"columns", "window", "stride", "documents"},
    "similarity": {"columns", *_OF_VECTORS},
    "clustering": {"columns", "seed", *_OF_VECTORS},
    "retrieval": {"corpus", "corpus_prompt_name", *_OF_VECTORS},
}


def of_files(config: Config) -> dict:
    """Scores of answers that are there already, and of trivial ones; of two files how they differ.

    Raises:
        InputError: flags of a model are given, a file cannot be read or lacks what is right, or the
            files are not of the same examples.
    """
    of_models = config.model or config.corpus or config.measure != "auto"
    of_models = of_models or (config.texts, config.vectors) != (TextFlags(), CorpusVectorFlags())
    if not config.given.answers or of_models:
        raise files.InputError(
            "flags-conflict",
            "found --against, --train or --resamples without --answers, or --answers with a flag "
            "of models; wanted --answers and no --model, --measure, or flag of texts or vectors",
        )
    from roots_tf.metrics import generated, of_predictions, significance

    one, other = _predictions(config)
    language = config.metric_language
    if one.field == "target":
        language = generated.language_of(one.golds, language)
    measures = of_predictions.measures(one.field, one.answers, one.golds, language)
    scores = {"examples": len(one.golds)}
    scores |= {name: measure.value for name, measure in measures.items()}
    if one.field == "target":
        scores["metric_language"] = language
        scores["signatures"] = generated.signatures(one.answers, one.golds, language)
    if one.field == "target" and one.sources:
        pairs = _training_pairs(config)
        scores["trivial"] = generated.trivial(one.sources, one.golds, *pairs, language)
    elif config.given.train:
        raise files.InputError(
            "flags-conflict",
            "found --train and answers without their sources; wanted it with texts alone, and "
            "their sources in --answers or --input",
        )
    if other:
        theirs = of_predictions.measures(one.field, other.answers, one.golds, language)
        given = config.given
        scores["against"] = significance.compare(measures, theirs, given.resamples, config.seed)
    return scores


def _predictions(config: Config) -> "tuple[labelled.Predictions, labelled.Predictions | None]":
    """Those of `--answers`, with what is right, and those of `--against`."""
    one, other = labelled.prediction_files.read(config.given.answers, config.encoding), None
    if config.input:
        inputs.check(config, "input")
        columns = labelled.column_names(config.columns)
        one = labelled.prediction_files.with_right(one, config.input, columns, config.encoding)
    if one.golds is None:
        raise files.InputError(
            "missing-flag",
            f"found no --input and no gold in {config.given.answers}; wanted what is right in one "
            "of them",
        )
    if config.given.against:
        other = labelled.prediction_files.read(config.given.against, config.encoding)
        labelled.prediction_files.check_same(one, other)
    if config.debug:
        return one.first(256), other and other.first(256)
    return one, other


def _training_pairs(config: Config) -> tuple[list[str], list[str]]:
    """Sources and targets of `--train`; none without it.

    Raises:
        InputError: the file has no sources, or cannot be read.
    """
    if not config.given.train:
        return [], []
    columns = labelled.column_names(config.columns)
    targets, sources = labelled.prediction_files.read_right(
        config.given.train, columns, config.encoding
    )
    if sources is None:
        raise files.InputError(
            "no-such-column",
            f"found no sources in {config.given.train}; wanted a table with source and target, or "
            "two files: train.en,train.de",
        )
    return sources, targets


def _texts(config: Config) -> Iterator[str]:
    """The texts of the input's documents; what is wrong with its names is said at once."""
    paths = files.expand(config.input)
    columns = labelled.column_names(config.columns)
    if columns.keys() - {"text"} or not all(isinstance(own, str) for own in columns.values()):
        raise files.InputError(
            "flags-conflict",
            f"found --columns={','.join(config.columns)}; wanted text=ITS_NAME alone of a file of "
            "texts",
        )
    encoding = encodings.python_name(config.encoding)
    documents = reading.read_documents(
        paths,
        config.texts.documents,
        text_field=columns.get("text", "text"),
        encoding=encoding,
    )

    def read():
        for number, document in enumerate(documents):
            if config.debug and number == 4:
                return
            if document.markup:
                raise files.InputError(
                    "wrong-format",
                    f"found a page of {document.markup} in {config.input}; wanted plain text: use "
                    "curate, which takes the text out of pages",
                )
            yield document.text

    return read()


if __name__ == "__main__":
    program.run(main, Config)
