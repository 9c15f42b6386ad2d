"""Continue texts with a causal language model.

    roots generate --model=work/gpt/model --prompt="She opened the" --max_new_tokens=60 --top_p=0.9
    roots generate --model=work/gpt/model --input=prompts.txt --output=answers.jsonl --num_samples=3
    echo "It was a" | roots generate --model=work/gpt/model --decoding=greedy --stream

Takes seconds and then as long as the model does. Reads one prompt, or a file of a prompt a line, or
of JSON lines with `prompt`, or standard input. Prints prompts with what follows them; --output
writes JSON lines: prompt, text, tokens, log_probability and why the text ended. The same seed gives
the same text, whatever other prompts there are. --examples_file puts examples of the task before
each prompt: JSON lines with `prompt` and `answer`, or with `messages`. A model that was fine-tuned
on conversations answers those of JSON lines with `messages`, written as its template says.
"""

import dataclasses
import json
import sys
import time
from typing import Literal

from absl import logging

from roots_tf import inference, models, program, tokenizers, training
from roots_tf.generation import Settings
from roots_tf.labelled import chat, text_files
from roots_tf.storage import encodings, files
from roots_tf.storage.files import InputError

BLANK = "\n\n"  # between an example and what comes after it


@dataclasses.dataclass(frozen=True)
class Asked(Settings):
    """The flags of `Settings` as they were given; `main` refuses those that contradict."""

    temperature: float = program.flag(
        1.0, help="above 0: logits are divided by it before a draw", minimum=0, maximum=100
    )

    def __post_init__(self):
        """Leaves numbers to their bounds, which are looked at first."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `generate`."""

    model: str = program.flag(
        help="model folder that pretrain --objective=causal_lm wrote, or import", role="input"
    )
    prompt: str = program.flag("", help="a text to continue; several: --input")
    input: str = program.flag(
        "",
        help="file of a prompt a line, or of JSON lines with `prompt` or `messages` (.jsonl); "
        "none, and no --prompt: lines of standard input",
        role="input",
    )
    output: str = program.flag(
        "", help="file of answers, JSON lines; none: they are printed", role="output_file"
    )
    num_samples: int = program.flag(1, help="answers to each prompt", minimum=1, maximum=1_000_000)
    seed: int = program.flag(0, help="of the draws", **program.SEED)
    choose: Settings = program.group(Asked(), "how tokens are chosen")
    stream: bool = program.flag(False, help="print text as it comes, one prompt at a time")
    examples_file: str = program.flag(
        "",
        help="JSON lines with `prompt` and `answer`, or `messages`, that stand before each prompt",
        role="input",
    )
    num_examples: int = program.flag(
        4, help="of --examples_file, the first ones, as far as the window has room", minimum=1,
        maximum=10_000,
    )  # fmt: skip
    json: bool = program.flag(False, help="print JSON lines instead of texts")
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    batch_size: int = program.flag(32, help="rows computed at once", **program.ROWS)
    precision: Literal["float32", "mixed_bfloat16"] = program.flag(
        "float32", help="what products are computed in"
    )
    debug: bool = program.flag(False, help="the first 4 prompts and 8 tokens only")


@program.takes_urls
def main(config: Config) -> list[dict]:
    """Prints or writes, and returns, the answers: an object a sample, in the order of prompts."""
    program.check(config)
    _check(config)
    training.keep_freed_memory()
    described = models.describe(config.model)
    inference.check_causal(described, config.model)
    tokenizer = tokenizers.load(config.model)
    template = chat.of(described)
    prompts = _prompts(config, template)[: 4 if config.debug else None]
    ids = end_id = None
    if isinstance(prompts[0], list):
        prompts, ids, end_id = inference.rendered(prompts, template, tokenizer)
    texts = _texts(config, end_id)
    shown = _with_examples(config, texts, prompts)
    if config.stream:
        return [
            _streamed(config, texts, prompts[i], shown[i], sample, ids and ids[i])
            for i in range(len(prompts))
            for sample in range(config.num_samples)
        ]
    start = time.monotonic()
    found = texts.answers(shown, config.seed, config.num_samples, ids)
    seconds, tokens = time.monotonic() - start, sum(len(answer.tokens) for answer in found)
    logging.info("%d tokens in %.1f s, %.0f a second", tokens, seconds, tokens / seconds)
    answers = [
        inference.described(answer, prompts[place // config.num_samples])
        for place, answer in enumerate(found)
    ]
    lines = [json.dumps(answer, ensure_ascii=False) for answer in answers]
    if config.output:
        files.write_text(config.output, "".join(f"{line}\n" for line in lines))
        logging.info("%s holds %d answers", config.output, len(answers))
    elif config.json:
        print("\n".join(lines))
    else:
        print("\n---\n".join(_printable(a["prompt"] + a["text"]) for a in answers))
    return answers


def _check(config: Config) -> None:
    """Refuses flags that contradict.

    Raises:
        InputError: says which.
    """
    _settings(config)
    if config.prompt and config.input:
        raise InputError("flags-conflict", "found --prompt and --input; wanted one of them")
    inference.check_samples(config.num_samples, config.choose.decoding)
    if config.stream and (config.output or config.json):
        other = "output" if config.output else "json"
        raise InputError(
            "flags-conflict",
            f"found --stream and --{other}; wanted one of them: a stream is printed",
        )


def _texts(config: Config, end_id: int | None):
    """The model, ready to continue texts."""
    settings = _settings(config)
    if config.debug:
        most = min(settings.max_new_tokens, 8)
        least = min(settings.min_new_tokens, most)
        settings = dataclasses.replace(settings, max_new_tokens=most, min_new_tokens=least)
    loaded = inference.load(config.model, config.precision)
    return loaded.texts(settings, config.batch_size, end_id)


def _settings(config: Config) -> Settings:
    """What is asked for.

    Raises:
        InputError: settings contradict.
    """
    given = dataclasses.asdict(config.choose)
    if not given["temperature"]:
        raise InputError(
            "number-out-of-range",
            "found --temperature=0; wanted a number above 0, or --decoding=greedy, which takes the "
            "likeliest token",
        )
    return Settings(**given | {"stop": tuple(_unescaped(text) for text in given["stop"])})


def _unescaped(stop: str) -> str:
    r"""A stop as it is meant: a flag cannot hold the line feed that `\n` stands for.

    >>> _unescaped(r"a\n\\n")
    'a\n\\n'
    """
    parts = [part.replace("\\n", "\n").replace("\\t", "\t") for part in stop.split("\\\\")]
    return "\\".join(parts)


def _prompts(config: Config, template: chat.Template | None) -> list[str] | list[list]:
    """Texts to continue, or conversations to answer.

    Raises:
        InputError: there are none, a file cannot be read, or a line of it is no prompt.
    """
    if config.prompt:
        return [config.prompt]
    if config.input:
        return _of_file(config, template)
    if sys.stdin.isatty():
        logging.info("reading prompts from the terminal, one a line, until Ctrl-D")
    try:
        text = sys.stdin.buffer.read().decode(encodings.python_name(config.encoding))
    except UnicodeDecodeError as error:
        raise InputError(
            "not-text",
            f"found bytes that are not {encodings.shown_name(config.encoding)} in the standard "
            f"input; {encodings.advice('-', error.object)}",
        ) from error
    prompts = [line for _, line in text_files.lines_of(text)]
    if not prompts:
        raise InputError(
            "empty-text",
            "found an empty prompt, without --input and in the standard input; wanted a text to "
            'continue: give --prompt="Once upon a time"',
        )
    return prompts


def _of_file(config: Config, template: chat.Template | None) -> list[str] | list[list]:
    """Prompts of a file, one a line, or its conversations.

    Raises:
        InputError: it holds none, or a JSON line without either; or the model knows no
            conversations.
    """
    path, found = config.input, []
    text, wanted = text_files.read_text(path, config.encoding), "a JSON object with `prompt`"
    is_json = text_files.suffix_of(path) in (".jsonl", ".ndjson", ".json")
    for number, line in text_files.lines_of(text):
        if not is_json:
            found.append(line)
            continue
        where = f"{path}, line {number}"
        value = text_files.parse_json(line, where, wanted)
        value = value if isinstance(value, dict) else {"prompt": value}
        if "messages" in value and "prompt" not in value:
            found.append(value["messages"])
            _check_conversation(config, template, value["messages"], where)
        elif isinstance(value.get("prompt"), str) and value["prompt"]:
            found.append(value["prompt"])
        else:
            raise InputError(
                "wrong-row",
                f"found {text_files.short(line)} in {where}; wanted a JSON object with a text "
                "`prompt` that is not empty",
            )
        if isinstance(found[0], str) != isinstance(found[-1], str):
            raise InputError(
                "wrong-row", f"found prompts and messages in {path}; wanted a file for each"
            )
    if not found:
        raise InputError("empty-input", f"found no prompt in {path}; wanted one a line")
    return found


def _check_conversation(config: Config, template, messages, where: str) -> None:
    """Refuses messages that the model cannot answer."""
    if template is None:
        raise InputError(
            "wrong-model-kind",
            f"found messages in {where} and a model that was not fine-tuned on conversations; "
            "wanted `prompt`, or a model of finetune --task=completion, which keeps a template",
        )
    if config.examples_file:
        raise InputError(
            "flags-conflict",
            f"found messages in {where} and --examples_file; wanted examples as earlier messages",
        )
    chat.check(messages, template, where, reply=True)


def _with_examples(config: Config, texts, prompts: list[str]) -> list[str]:
    """Prompts behind the examples of --examples_file, as many as leave room for the answer."""
    if not config.examples_file:
        return prompts
    examples = _examples(config.examples_file, config.encoding)[: config.num_examples]
    most = texts.window - 1 - min(config.choose.max_new_tokens, texts.window // 2)
    sizes = [len(ids) for ids in texts.ids(examples)]  # with the begin of text, as for a blank line
    shown, fewest = [], len(examples)
    for prompt, ids in zip(prompts, texts.ids(prompts), strict=True):
        count, room = 0, most - len(ids)
        while count < len(examples) and sizes[count] + 2 <= room:
            room -= sizes[count] + 2
            count += 1
        shown.append("".join(example + BLANK for example in examples[:count]) + prompt)
        fewest = min(fewest, count)
    if fewest < config.num_examples:
        logging.warning(
            "found room or examples for %d before a prompt at least, of --num_examples=%d",
            *(fewest, config.num_examples),
        )
    return shown


def _examples(path: str, encoding: str) -> list[str]:
    """Examples as they stand before a prompt: prompt and answer, with a space between words.

    Raises:
        InputError: the file holds none, or a line is of another form.
    """
    examples, wanted = [], "a JSON object with texts `prompt` and `answer`, or with `messages`"
    for number, line in text_files.lines_of(text_files.read_text(path, encoding)):
        where = f"{path}, line {number}"
        value = text_files.parse_json(line, where, wanted)
        value = value if isinstance(value, dict) else {}
        if isinstance(value.get("prompt"), str) and isinstance(value.get("answer"), str):
            prompt, answer = value["prompt"], value["answer"]
            space = "" if not answer or prompt[-1:].isspace() or answer[0].isspace() else " "
            examples.append(prompt + space + answer)
        elif _are_messages(turns := value.get("messages")):
            examples.append("\n".join(f"{turn['role']}: {turn['content']}" for turn in turns))
        else:
            found = text_files.short(line)
            raise InputError("wrong-row", f"found {found} in {where}; wanted {wanted}")
        if not examples[-1].strip():
            raise InputError(
                "wrong-row", f"found an example without text in {where}; wanted {wanted}"
            )
    if not examples:
        raise InputError("empty-input", f"found no example in {path}; wanted {wanted} a line")
    return examples


def _are_messages(turns) -> bool:
    """Whether a value is the turns of a talk, as chat files have them."""
    return (
        isinstance(turns, list)
        and bool(turns)
        and all(
            isinstance(turn, dict)
            and isinstance(turn.get("role"), str)
            and isinstance(turn.get("content"), str)
            for turn in turns
        )
    )


def _streamed(config: Config, texts, prompt: str, asked: str, sample: int, ids) -> dict:
    """Prints one answer as it comes, and returns it."""
    print(_printable(prompt), end="", flush=True)
    for piece in texts.stream(asked, config.seed, sample, ids):
        if not isinstance(piece, str):
            print("\n---" if config.num_samples > 1 or config.input else "", flush=True)
            return inference.described(piece, prompt)
        print(_printable(piece), end="", flush=True)
    raise AssertionError("a stream ends with its answer")


def _printable(text: str) -> str:
    """A text without what a terminal would take as a command."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


if __name__ == "__main__":
    program.run(main, Config)
