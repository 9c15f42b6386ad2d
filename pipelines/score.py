"""Score texts with a language model: what it believes of them, and which of several it prefers.

    roots score --model=work/gpt/model --input=texts.jsonl --output=scores.jsonl
    roots score --model=work/pretrained/model --input=blimp/pairs.jsonl --report=accuracy.json

Takes seconds and then as long as the model does. Reads a text a line (`.txt`), or tables with text;
prompt and answer; prompt and choices, with or without label, the index of the right one; or good
and bad, of which the first should score higher. Writes a JSON object a row, in order: the
log-probability in nats, as a sum, a token and a byte. Prints accuracies where it is said what is
right, also by paradigm, field and phenomenon.

A causal model gives log-probabilities by the chain rule, a masked one pseudo-log-likelihoods.
"""

import collections
import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from absl import logging

from roots_tf import labelled, models, program, scoring, tokenizers
from roots_tf.labelled import scored_texts
from roots_tf.storage import files
from roots_tf.storage.files import InputError

MEASURES = ("log_probability", "per_token", "per_byte")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `score`."""

    model: str = program.flag(
        help="model folder of a causal or a masked language model", role="input"
    )
    input: str = program.flag(help="file of texts", role="input")
    output: str = program.flag(
        "", help="file of scores, JSON lines; none: standard output", role="output_file"
    )
    report: str = program.flag("", help="JSON file of accuracies; none", role="output_file")
    groups: tuple[str, ...] = program.flag(
        ("paradigm", "field", "phenomenon"), help="columns that accuracies are also grouped by"
    )
    separator: str = program.flag(
        "", help="between prompt and answer, and scored with the answer; often a space"
    )
    masking: Literal["word", "token"] = program.flag(
        "word",
        help="of a masked model: mask a token with the later pieces of its word (Kauf & Ivanova "
        "2023), or by itself (Salazar et al. 2020)",
    )
    end_of_text: bool = program.flag(
        False, help="of a causal model: score the end of each text too"
    )
    window: int = program.flag(
        0, help="tokens that are read at once; 0: as many as the model takes", **program.TOKENS
    )
    stride: int = program.flag(
        0,
        help="tokens that are new in each window of a long text after the first; 0: half of it",
        minimum=1,
        maximum=1 << 20,
    )
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns that differ: text=sentence; or the order of all"
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    debug: bool = program.flag(False, help="the first 16 rows only")


@program.takes_urls
def main(config: Config) -> dict:
    """Writes the scores, and returns the accuracies."""
    program.check(config)
    described = models.describe(config.model)
    rows_of = ROWS.get(described["kind"])
    if rows_of is None:
        raise InputError(
            "wrong-model-kind",
            f"found a model of kind {described['kind']} in {config.model}; wanted a language "
            f"model, {', '.join(ROWS)}, which pretrain writes",
        )
    window, stride = _window(config, described)
    columns = labelled.column_names(config.columns)
    form, questions = scored_texts.read(config.input, columns, config.groups, config.encoding)
    questions = questions[: 16 if config.debug else None]
    tokenizer = tokenizers.load(config.model)
    asked = [_asked(tokenizer, question, config.separator) for question in questions]
    texts = [text for of_one in asked for text in of_one]
    scorer = scoring.Scorer(models.load(config.model), tokenizer.causal_pad_id or 0)
    sums, counts = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    rows = rows_of(config, tokenizer, texts, window, stride)
    for row, chances in scorer.log_probabilities(rows, len(texts)):
        sums[row.text] += chances.sum(dtype=np.float64)
        counts[row.text] += len(chances)
    found = iter(
        {
            "log_probability": float(total),
            "per_token": float(total / count),
            "per_byte": float(total / text.num_bytes),
            "tokens": int(count),
        }
        for text, total, count in zip(texts, sums, counts, strict=True)
    )
    answers = [_answer(q, form, [next(found) for _ in q.texts]) for q in questions]
    lines = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
    if config.output:
        files.write_text(config.output, lines)
        logging.info("%s holds %d answers", config.output, len(answers))
    else:
        print(lines, end="")
    report = accuracies(questions, answers)
    for name, values in report.items():
        print(f"{name:<48} {values['accuracy']:.4f}  of {values['count']}")
    if config.report:
        files.write_json(config.report, report)
    return report


def accuracies(questions: list[scored_texts.Question], answers: list[dict]) -> dict[str, dict]:
    """Shares of the rows whose right text has the highest sum, of all and of each group.

    Args:
        questions: rows of the file.
        answers: to them; of choices with the accuracies by token and by byte, too.
    """
    rights = collections.defaultdict(list)
    for question, answer in zip(questions, answers, strict=True):
        if question.right is None:
            continue
        rights["all"].append(answer["right"])
        for measure in MEASURES[1:]:
            if f"best_{measure}" in answer:
                rights[f"all, {measure}"].append(answer[f"best_{measure}"] == question.right)
        for name, group in question.groups.items():
            rights[f"{name}: {group}"].append(answer["right"])
    names = sorted(rights, key=lambda name: (not name.startswith("all"), name))
    return {
        name: {"accuracy": math.fsum(rights[name]) / len(rights[name]), "count": len(rights[name])}
        for name in names
    }


def _window(config: Config, described: dict) -> tuple[int, int]:
    """Tokens that are read at once, and that are new in each window."""
    longest = described["encoder"].max_sequence_length
    window = config.window or longest
    room = window - (2 if described["kind"] == "pretrainer" else 0)
    stride = config.stride or max(1, room // 2)
    if window > longest or room < 1 or stride > room:
        raise InputError(
            "wrong-window",
            f"found --window={window} and --stride={stride}; wanted a window of at most {longest}, "
            f"which the model takes, and a stride of at most {max(min(room, longest), 1)}",
        )
    return window, stride


def _asked(tokenizer, question: scored_texts.Question, separator: str) -> list:
    """The texts of a row as ids."""
    try:
        if question.prompt is not None:
            texts = [separator + text for text in question.texts]
            return scoring.continued(tokenizer, question.prompt, texts)
        return scoring.whole(tokenizer, question.texts)
    except InputError as error:
        raise InputError(error.id, f"{error} (in {question.where})") from error


def _causal(config: Config, tokenizer, texts, window: int, stride: int) -> Iterator:
    """Rows of a causal model: a begin of text, and what is scored."""
    if tokenizer.bos_id is None or (config.end_of_text and tokenizer.eos_id is None):
        raise InputError(
            "no-special-token", "found a tokenizer without a begin or an end of text; wanted both"
        )
    begin, end = [tokenizer.bos_id], [tokenizer.eos_id] * config.end_of_text
    for number, text in enumerate(texts):
        ids = np.concatenate([begin, text.ids, end]).astype(np.int32)
        yield from scoring.causal_rows(ids, text.first + 1, window, stride, number)


def _masked(config: Config, tokenizer, texts, window: int, stride: int) -> Iterator:
    """Rows of a masked model: one a token that is scored."""
    special = tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id
    if None in special:
        raise InputError(
            "no-special-token",
            "found a tokenizer without [CLS], [SEP] or [MASK]; wanted all of them",
        )
    if config.end_of_text:
        raise InputError(
            "flags-conflict",
            "found --end_of_text and a masked model; wanted it with a causal one alone",
        )
    starts = tokenizer.starts_word.copy()
    starts[list(tokenizer.special_ids)] = True
    for number, text in enumerate(texts):
        yield from scoring.masked_rows(
            *(text.ids, text.first, starts[text.ids], special, window, stride),
            within_word=config.masking == "word",
            text=number,
        )


ROWS = {"causal_lm": _causal, "masked_and_causal_lm": _causal, "pretrainer": _masked}


def _answer(question: scored_texts.Question, form: str, scores: list[dict]) -> dict:
    """What is written of a row."""
    prompt = {} if question.prompt is None else {"prompt": question.prompt}
    texts = [{"text": text} | of_text for text, of_text in zip(question.texts, scores, strict=True)]
    if form in ("texts", "answers"):
        return prompt | texts[0]
    best = {f"best_{m}": max(range(len(texts)), key=lambda i: texts[i][m]) for m in MEASURES}
    if form == "pairs":
        right = scores[0]["log_probability"] > scores[1]["log_probability"]
        return {"good": texts[0], "bad": texts[1], "right": right} | question.groups
    right = (
        {} if question.right is None else {"right": best["best_log_probability"] == question.right}
    )
    return prompt | {"choices": texts} | best | right | question.groups


if __name__ == "__main__":
    program.run(main, Config)
