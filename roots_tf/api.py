"""The Python API: what stands in a notebook, a line each. `import roots_tf as roots` has it.

    model = roots.load("work/pretrained")
    roots.fill_mask(model, "The [MASK] of the array.")

One text gives one answer, several give a list. Answers are plain dictionaries, lists and arrays, of
the shapes that the programs write as JSON: what is in a file and what is in memory is read by the
same code. A mistake is an `InputError`, whose message says what was found and what was wanted.

Wherever a `model` is asked for, a path will do: a model folder, or the output folder of the run
that wrote it. It is read each time, unless the program still holds the model that `load` gave.
"""

import contextlib
import logging as python_logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from absl import logging

from roots_tf import commands, generation, inference, program, tokenizers
from roots_tf.storage.files import InputError

if TYPE_CHECKING:
    from roots_tf.inference.loaded import LoadedModel

PathLike = str | os.PathLike[str]
Value = str | int | float | bool | os.PathLike[str] | Sequence[str] | None
Message = Mapping[str, str]


def load(
    path: PathLike, *, precision: Literal["float32", "mixed_bfloat16"] = "float32"
) -> "LoadedModel":
    """A trained model with its tokenizer. One that you still hold is given again, not read again.

    EXAMPLE load

    Args:
        path: a model folder, or the output folder of the run of pretrain, finetune or distill that
            wrote it.
        precision: what products are computed in.

    Raises:
        InputError: there is no model, or it is damaged.
    """
    return inference.load(path, precision)


def encode(
    model: "LoadedModel | PathLike", texts: str | Iterable[str]
) -> list[int] | list[list[int]]:
    """Ids of the pieces of a text, without [CLS] and [SEP]; `decode` gives the text back.

    EXAMPLE encode

    Args:
        model: or a path, which may also be that of a tokenizer.
        texts: one, or several.

    Raises:
        InputError: there is no tokenizer, or something is no text.
    """
    listed, is_one = _listed(texts)
    ids, splits = _tokenizer(model).encode(listed)
    rows = [ids[a:b].tolist() for a, b in zip(splits, splits[1:], strict=False)]
    return rows[0] if is_one else rows


def decode(
    model: "LoadedModel | PathLike", ids: Sequence[int] | Sequence[Sequence[int]]
) -> str | list[str]:
    """The text of ids, special tokens among it: what the tokenizer has kept of it.

    EXAMPLE decode

    Args:
        model: as for `encode`.
        ids: of one text, or of several.

    Raises:
        InputError: there is no tokenizer, or something is no id.
    """
    tokenizer, rows = _tokenizer(model), _items(ids)
    is_one = all(isinstance(i, int | np.integer) for i in rows)
    texts = []
    for row in [rows] if is_one else rows:
        array = np.asarray(row)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise InputError(f"found {row!r:.80}; wanted ids, or a list of ids for each text")
        if wrong := [i for i in array.tolist() if not 0 <= i < tokenizer.size]:
            raise InputError(f"found the id {wrong[0]}; wanted ids from 0 to {tokenizer.size - 1}")
        texts.append(tokenizer.decode(array, skip_special_tokens=False))
    return texts[0] if is_one else texts


def embed(
    model: "LoadedModel | PathLike",
    texts: str | Iterable[str],
    *,
    pooling: Literal["mean", "cls", "pooler"] | None = None,
    l2_normalize: bool | None = None,
    max_seq_length: int = 0,
    prompt_name: str | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Vectors of texts, as `roots embed` makes them: float32 [B, H]; of one text [H].

    EXAMPLE embed

    Args:
        model: or a path.
        texts: one, or several.
        pooling: the mean over the tokens, the first token, or the layer on it that training has
            put there. None: as the model folder says, or the mean.
        l2_normalize: whether vectors are scaled to length 1. None: as the model folder says.
        max_seq_length: tokens of a text at most. 0: as the folder says, or all the model takes.
        prompt_name: prompt of the model folder to put in front of each text; "" is none.
        batch_size: texts computed at once.

    Raises:
        InputError: the model has no such vectors, or something is no text.
    """
    listed, is_one = _listed(texts)
    _check("embed", pooling=pooling, max_seq_length=max_seq_length, batch_size=batch_size)
    loaded = _loaded(model)
    given = (pooling, l2_normalize, max_seq_length, prompt_name)
    settings = loaded.embedding_settings.with_flags(*given)
    vectors = loaded.embedder(settings, batch_size)(listed)
    return vectors[0] if is_one else vectors


def fill_mask(
    model: "LoadedModel | PathLike", texts: str | Iterable[str], *, top_k: int = 5
) -> dict[str, Any] | list[dict[str, Any]]:
    """The likeliest pieces at each [MASK], as `roots fill-mask --json` prints them.

    EXAMPLE fill_mask

    Args:
        model: or a path, of a model that pretrain wrote to fill masks.
        texts: one, or several, each with a [MASK].
        top_k: pieces for each [MASK].

    Returns:
        Of each text a dictionary: "text", and in "masks" a list for each [MASK], of dictionaries
        with "piece" and "probability".

    Raises:
        InputError: the model fills no masks, or a text has none.
    """
    listed, is_one = _listed(texts)
    _check("fill-mask", top=top_k)
    loaded = _loaded(model)
    inference.check_fills(loaded.description, str(loaded.folder))
    answers = [inference.fill(text, loaded.model, loaded.tokenizer, top_k) for text in listed]
    return answers[0] if is_one else answers


def predict(
    model: "LoadedModel | PathLike",
    rows: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any] | Sequence[str]],
    *,
    batch_size: int = 64,
) -> dict[str, Any] | list[dict[str, Any]]:
    """Answers of a fine-tuned model, as `roots predict` writes them.

    EXAMPLE predict

    Args:
        model: or a path, of a model that finetune wrote.
        rows: a text, or a dictionary of texts by column, or several of either; of pairs also
            `(text, text_pair)`. Columns by task: text of classification, regression and tagging,
            with text_pair of pairs, as of similarity; text and choices of multiple choice; question
            and context of question answering.
        batch_size: rows computed at once.

    Returns:
        Of each row a dictionary: label and probabilities; value; choice; tags and entities; answer,
        with its place in the text in characters.

    Raises:
        InputError: the model was not fine-tuned, answers prompts, or a row is none of its task.
    """
    _check("predict", batch_size=batch_size)
    is_one = isinstance(rows, str | Mapping)
    listed: list[Any] = [rows] if is_one else _items(rows)
    loaded = _loaded(model)
    if loaded.kind.generates:
        raise InputError(f"found a model for {loaded.kind.name}, which answers prompts: generate")
    if not listed:
        return []
    examples = inference.answer_rows(loaded.kind, listed)
    answers = loaded.answers(examples, batch_size)
    return answers[0] if is_one else answers


def generate(
    model: "LoadedModel | PathLike",
    prompts: str | Iterable[str] | Sequence[Message] | Iterable[Sequence[Message]],
    *,
    max_new_tokens: int = 64,
    min_new_tokens: int = 0,
    decoding: Literal["sample", "greedy", "beam"] = "sample",
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical_p: float = 1.0,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int = 0,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    early_stopping: bool = False,
    stop: str | Sequence[str] = (),
    seed: int = 0,
    num_samples: int = 1,
    batch_size: int = 32,
    details: bool = False,
) -> str | list[str] | dict[str, Any] | list[dict[str, Any]]:
    """Texts continued by a causal language model, as `roots generate` prints them: with the prompt.

    EXAMPLE generate

    Args:
        model: or a path, of a model that pretrain --objective=causal_lm, finetune
            --task=completion or import wrote.
        prompts: a text or several; of a model of conversations also one, a list of messages such as
            `{"role": "user", "content": "..."}`, or several.
        max_new_tokens, min_new_tokens: tokens behind the prompt at most, and at least.
        decoding: draw each token, take the likeliest, or search with beams.
        temperature, top_k, top_p, min_p, typical_p: of draws, see `roots generate --help`.
        repetition_penalty, no_repeat_ngram: against repetition.
        num_beams, length_penalty, early_stopping: of beams.
        stop: texts at which to end; they are left out.
        seed: of the draws: the same seed gives the same text, whatever other prompts there are.
        num_samples: answers to each prompt, which stand together.
        batch_size: rows computed at once.
        details: whether to give dictionaries, as `roots generate --json` prints them: "prompt",
            "text" (what follows it), "tokens", "log_probability", "ended" and "sample".

    Returns:
        One text of one prompt and sample, else a list.

    Raises:
        InputError: the model continues no texts, a prompt is empty or too long, or settings
            contradict.
    """
    given = dict(locals())
    settings = {name: given[name] for name in generation.Settings.__dataclass_fields__}
    settings["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    numbers = {"seed": seed, "num_samples": num_samples, "batch_size": batch_size}
    _check("generate", **settings, **numbers)
    how = generation.Settings(**settings)
    with _flags_named():
        program.check(how)  # which takes no temperature of 0, as the flag does to say more of it
    inference.check_samples(num_samples, decoding)
    prompts = prompts if isinstance(prompts, str) else _items(prompts)
    loaded = _loaded(model)
    texts, is_one = inference.asked(loaded, prompts)
    found = inference.answers(loaded, texts, how, **numbers)
    answers = found if details else [answer["prompt"] + answer["text"] for answer in found]
    return answers[0] if is_one and num_samples == 1 else answers


def pretrain(
    *, examples: PathLike = "", output: PathLike, quiet: bool = False, **flags: Value
) -> dict[str, Any]:
    """Trains a model as `roots pretrain` does, or goes on training it, and gives its report.

    EXAMPLE pretrain

    Ctrl-C, or the stop button of a notebook, saves a checkpoint and raises `StoppedError`; the same
    call goes on from there.

    Args:
        examples: folder that build-examples wrote.
        output: folder of the run; `load` takes it.
        quiet: whether only warnings are shown.
        **flags: of `roots pretrain --help`, by name: `size="tiny"`, `duration=500`.

    Raises:
        InputError: a flag or a file is wrong.
        StoppedError: the run was stopped, and saved.
    """
    return run("pretrain", quiet=quiet, examples=examples, output=output, **flags)


def finetune(
    *,
    init_from: PathLike,
    train: PathLike,
    dev: PathLike,
    output: PathLike,
    quiet: bool = False,
    **flags: Value,
) -> dict[str, Any]:
    """Fine-tunes a model on a task as `roots finetune` does, and gives its report.

    EXAMPLE finetune

    Args:
        init_from: model folder to start from, or the output folder of its run.
        train: labelled file to learn from.
        dev: labelled file that picks the best epoch and the best seed.
        output: folder of the run; `load` takes it.
        quiet: whether only warnings are shown.
        **flags: of `roots finetune --help`, by name: `task="tagging"`, `seeds=1`.

    Raises:
        InputError: a flag or a file is wrong.
        StoppedError: the run was stopped, and saved, as for `pretrain`.
    """
    paths = {"train": train, "dev": dev, "output": output}
    return run("finetune", quiet=quiet, init_from=inference.find(init_from), **paths, **flags)


def evaluate(
    model: PathLike, input: PathLike, *, quiet: bool = False, **flags: Value
) -> dict[str, Any]:
    """Scores a model on a file as `roots evaluate` does: prints the scores, and gives them.

    EXAMPLE evaluate

    Args:
        model: a path: a model folder, or the output folder of its run.
        input: labelled file, or texts for a causal language model.
        quiet: whether only warnings are shown, beside the scores.
        **flags: of `roots evaluate --help`, by name.

    Raises:
        InputError: a flag or a file is wrong.
    """
    return run("evaluate", quiet=quiet, model=inference.find(model), input=input, **flags)


def run(name: str, *, quiet: bool = False, **flags: Value) -> Any:
    """Runs any program in this process: `roots NAME --flags` with the flags as keywords.

    EXAMPLE run

    Args:
        name: of the program, as `roots` lists it: "curate", "build-examples", "export".
        quiet: whether only warnings are shown.
        **flags: by name. Lists may be lists, paths `Path`s; None is a flag that is not given.

    Returns:
        What the program's `main` gives, most often its report.

    Raises:
        InputError: there is no such program or flag, a value is none of the flag, or the program
            found a mistake.
    """
    with _flags_named(), _shown(quiet):
        return commands.call(name, **flags)


def _loaded(model: "LoadedModel | PathLike") -> "LoadedModel":
    """The model of a path, or the model itself."""
    if isinstance(model, str | os.PathLike):
        return inference.load(model)
    if not hasattr(model, "tokenizer"):
        raise InputError(f"found {model!r:.80}; wanted what `load` gives, or a path")
    return model


def _tokenizer(model: "LoadedModel | PathLike") -> tokenizers.Tokenizer:
    """The tokenizer of a model, or of a path that may also be that of a tokenizer alone."""
    if not isinstance(model, str | os.PathLike):
        return _loaded(model).tokenizer
    path = Path(model).expanduser()
    run = path / "model"
    return tokenizers.load(run if (run / "model.json").exists() else path)


def _items(values: Iterable[Any]) -> list[Any]:
    try:
        return list(values)
    except TypeError as error:
        raise InputError(f"found {values!r:.80}; wanted a text, or several") from error


def _listed(texts: str | Iterable[str]) -> tuple[list[str], bool]:
    """Texts as a list, and whether it was one."""
    if isinstance(texts, str):
        return [texts], True
    listed = _items(texts)
    for number, text in enumerate(listed, 1):
        if not isinstance(text, str):
            raise InputError(f"found {text!r:.80} as text {number}; wanted a string")
    return listed, False


def _check(name: str, **values: Any) -> None:
    """Refuses values that the flags of a program cannot have."""
    known = program.flags_of(commands.load(name).Config)
    with _flags_named():
        for flag, value in values.items():
            if value is not None or known[flag].default is not None:
                value = commands.as_flag(flag, known[flag].hint, value)
                program.check_value(flag, known[flag], value)


@contextlib.contextmanager
def _flags_named() -> Iterator[None]:
    """A flag that is wrong is a mistake as any other, so that one `except` takes both."""
    try:
        yield
    except program.FlagError as error:
        raise InputError(str(error)) from error


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[None]:
    """Lines of a program as a notebook shows them, where nobody has said how lines are shown."""
    before, root = logging.get_verbosity(), python_logging.getLogger()
    logging.set_verbosity(logging.WARNING if quiet else logging.INFO)
    handler = None
    if not root.handlers:
        handler = python_logging.StreamHandler()
        handler.addFilter(_is_for_users)
        root.addHandler(handler)
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if handler:
            root.removeHandler(handler)


def _is_for_users(record: python_logging.LogRecord) -> bool:
    """Whether a line is a program's own, or a warning; TensorFlow's notices are neither."""
    own = record.name == "absl" and "/tensorflow/" not in record.pathname
    return own or record.levelno >= python_logging.WARNING
