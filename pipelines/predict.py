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
"""

import dataclasses
import json
import re
import sys

from absl import logging

from roots_tf import generation, labelled, models, program, tasks, tokenizers, training
from roots_tf.storage import encodings, files, inputs

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
def main(config: Config) -> list[dict]:
    """Writes and returns one answer an example, in the order of the file."""
    training.keep_freed_memory()
    described = models.describe(config.model)
    inputs.check(config, "input", "ensemble")
    others = [models.describe(folder) for folder in config.ensemble]
    kind = tasks.restore(described)
    if others:
        kind.check_ensemble([tasks.restore(other) for other in others])
    if kind.decodes:
        settings = config.search.settings(kind.settings, config.max_new_tokens)
        kind = kind.with_settings(settings)
    else:
        config.search.check_unused(f"the task {kind.name}", config.max_new_tokens)
    examples = read(config, kind)
    if config.debug:
        examples = labelled.first(examples, 16)
    predictions = answers(config, config.model, kind, examples)
    if others:
        members = zip(config.ensemble, map(tasks.restore, others), strict=True)
        found = [answers(config, folder, other, examples) for folder, other in members]
        predictions = kind.averaged([predictions, *found])
    if kind.decodes and config.output and not config.output.lower().endswith(JSON_LINES):
        lines = plain_lines([row["target"] for row in predictions], config.output)
    else:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
    if not config.output:
        print(lines, end="")
        return predictions
    files.write_text(config.output, lines)
    logging.info("%s holds %d answers", config.output, len(predictions))
    return predictions


def answers(config: Config, folder: str, kind, examples) -> list[dict]:
    """What the model of one folder answers to examples.

    Args:
        config: of the program.
        folder: of the model.
        kind: of its task.
        examples: as `kind.read` gives them.
    """
    tokenizer, model = tokenizers.load(folder), models.load(folder)
    return tasks.answer(kind, model, tokenizer, examples, batch_size=config.batch_size)


def read(config: Config, kind):
    """Examples of the file, or texts from standard input.

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
