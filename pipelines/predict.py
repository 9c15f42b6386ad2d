"""Answer new examples with a fine-tuned model.

    roots predict --model=work/task/model --input=new.txt --output=answers.jsonl
    echo 国家主席江泽民今天在北京。 | roots predict --model=work/names/model
    roots predict --model=work/translator/model --input=test.en --output=test.hyp --num_beams=5
    roots predict --model=work/one/model --ensemble=work/other/model --input=new.txt

Takes seconds and then as long as the model does. Reads what finetune reads, without the answers: a
text a line (`.txt`), or TSV, CSV, JSON lines, Parquet, CoNLL, SQuAD by task; without `--input`
texts from standard input. Writes, or prints, a JSON object an example: label and probabilities;
value; tags and entities, or an answer, with their place in the text in characters. A model that
writes texts, such as a translator, reads a source a line, whatever the suffix, and writes a target
a line where the output's is none of JSON lines: line by line the two files belong together. With
`--ensemble` texts are labelled by several models together, such as those of several templates.

Some thousand examples are in memory at a time, and those of similar length are computed together.
While it works, finished answers stand beside the output, in `answers.jsonl.parts/`; a run that was
stopped or killed goes on behind them, run again with the same flags and files.
"""

import dataclasses
import functools
import itertools
import json
import re
import sys
from collections.abc import Callable

from absl import logging

from roots_tf import generation, labelled, models, program, progress, tasks, tokenizers, training
from roots_tf.inference import parts
from roots_tf.labelled import source, tables
from roots_tf.storage import claims, encodings, files, inputs

# Of a model that writes: it takes a second for what others answer in hundredths.
SOURCES_AT_ONCE = 2048
JSON_LINES = (".jsonl", ".ndjson", ".json")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `predict`."""

    model: str = program.flag(help="model folder that finetune wrote", role="input")
    input: str = program.flag(
        "", help="file of examples; none: a text a line from standard input", role="input"
    )
    output: str = program.flag(
        "",
        help="file of answers, JSON lines; of texts that a model writes, a line each where the "
        "suffix is not .jsonl, .ndjson or .json; none: standard output",
        role="output_file",
    )
    ensemble: tuple[str, ...] = program.flag(
        (),
        help="further model folders of the same labels, whose probabilities are averaged with "
        "those of --model",
        role="input",
    )
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns that differ: text=sentence; or the order of all"
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    batch_size: int = program.flag(64, help="rows computed at once", **program.ROWS)
    search: generation.SearchFlags = program.group(generation.SearchFlags(), "search")
    max_new_tokens: int | None = program.flag(
        None,
        help="tokens of an answer at most, its end among them, of a model whose task is to write; "
        "not given: as finetune was told",
        group="search",
        minimum=1,
        maximum=1 << 20,
    )
    debug: bool = program.flag(False, help="the first 16 examples only")


@program.takes_urls
def main(config: Config) -> dict:
    """Writes, or prints, one answer an example, in the order of the file; returns their number."""
    training.keep_freed_memory()
    described = models.describe(config.model)
    inputs.check(config, "input", "ensemble")
    others = [tasks.restore(models.describe(folder)) for folder in config.ensemble]
    kind = tasks.restore(described)
    if others:
        kind.check_ensemble(others)
    if kind.decodes:
        settings = config.search.settings(kind.settings, config.max_new_tokens)
        kind = kind.with_settings(settings)
    else:
        config.search.check_unused(f"the task {kind.name}", config.max_new_tokens)
    size = SOURCES_AT_ONCE if kind.decodes else source.ROWS_AT_ONCE
    # Of parts of another size the answers would be computed together with other ones.
    about = {"examples_at_once": size}
    if config.input and not tables.is_read_once(config.input):
        chunks = labelled.read_in_parts(kind, config.input, config, size)
    else:  # nobody can look into it again: its texts are what a run is known by
        examples = read(config, kind)
        chunks = labelled.parts(examples, size)
        about["input"] = files.fingerprint(
            [str(part) for part in examples if not isinstance(part, str)]
        )
    if config.debug:
        chunks = (labelled.first(chunk, 16) for chunk in itertools.islice(chunks, 1))
    chunks = progress.track(chunks, "predict", None, "examples", labelled.count_of)
    answer = Answering(config, [kind, *others])
    lines = functools.partial(lines_of, config.output, kind.decodes)
    count = 0
    if config.output:
        claim, form = claims.of(config, **about), parts.Lines(lines)
        count = parts.write(config.output, claim, form, chunks, answer, labelled.count_of)
        logging.info("%s holds %d answers", config.output, count)
    else:
        for answers in map(answer, chunks):
            print(lines(answers), end="", flush=True)
            count += len(answers)
    return {"answers": count}


class Answering:
    """What the models answer to some examples; they are read when they are first asked.

    Args:
        config: of the program.
        kinds: of the tasks of its models, in order.
    """

    def __init__(self, config: Config, kinds):
        self._folders, self._kinds = (config.model, *config.ensemble), kinds
        self._batch_size = config.batch_size

    @functools.cached_property
    def _models(self) -> list[Callable]:
        """What gives the answers of each model."""
        found = []
        for folder, kind in zip(self._folders, self._kinds, strict=True):
            tokenizer, model = tokenizers.load(folder), models.load(folder)
            asked = {"batch_size": self._batch_size, "predictor": tasks.Predictor(kind, model)}
            found.append(functools.partial(tasks.answer, kind, model, tokenizer, **asked))
        return found

    def __call__(self, examples) -> list[dict]:
        """An answer to each of the examples, which are as `kind.read` gives them."""
        found = [model(examples) for model in self._models]
        return found[0] if len(found) == 1 else self._kinds[0].averaged(found)


def read(config: Config, kind):
    """Examples of a pipe, or texts from standard input.

    Args:
        config: of the program.
        kind: of task.

    Raises:
        InputError: as for `kind.read`; or standard input holds no text, or the task needs more.
    """
    if config.input:
        return labelled.read_examples(kind, config.input, config, labelled=False)
    if kind.texts != ("text",) and not kind.decodes:
        raise files.InputError(
            "missing-flag",
            f"found no --input and a model for {kind.name}; wanted a file with "
            f"{' and '.join(kind.texts)} of each example",
        )
    try:
        text = sys.stdin.buffer.read().decode(encodings.python_name(config.encoding))
    except UnicodeDecodeError as error:
        raise files.InputError(
            "not-text",
            f"found bytes that are not {encodings.shown_name(config.encoding)} in the standard "
            f"input; {encodings.advice('-', error.object)}",
        ) from error
    texts = [line.removesuffix("\r") for line in text.split("\n")]
    if not kind.decodes:
        texts = [line for line in texts if line.strip()]
    elif not texts[-1]:  # behind the last end of a line; others stay, so that lines keep step
        texts.pop()
    if not texts:
        raise files.InputError(
            "empty-input", "found no text in the standard input; wanted a text a line"
        )
    return kind.unlabelled({kind.texts[0]: texts})


def lines_of(path: str, are_texts: bool, answers: list[dict]) -> str:
    """Lines of a file of answers, or of what is printed.

    Args:
        path: of the file; none: they are printed.
        are_texts: whether a model has written the answers.
        answers: any number.
    """
    if are_texts and path and not path.lower().endswith(JSON_LINES):
        return plain_lines([row["target"] for row in answers], path)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in answers)


def plain_lines(targets: list[str], path: str) -> str:
    """Targets, a line each.

    Args:
        targets: ends of lines in them become spaces, which a warning counts.
        path: of the file, for the warning.
    """
    lines = [re.sub(r"\r\n|\r|\n", " ", target) for target in targets]
    if changed := sum(a != b for a, b in zip(targets, lines, strict=True)):
        logging.warning(
            "%s: %d of %d answers had ends of lines in them, which are spaces now, so that each is "
            "a line; JSON lines (.jsonl) keep them",
            *(path, changed, len(lines)),
        )
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    program.run(main, Config)
