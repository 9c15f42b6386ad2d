"""Models in memory: loaded once, asked as often as one likes."""

from __future__ import annotations  # so that `help` shows them as they stand here

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from roots_tf import generation, inference, program
from roots_tf.api.values import (
    Message,
    PathLike,
    check,
    flags_named,
    items,
    listed_texts,
    loaded_model,
    tokenizer_of,
)
from roots_tf.storage.files import InputError

if TYPE_CHECKING:
    from roots_tf.inference.loaded import LoadedModel


def load(
    path: PathLike, *, precision: Literal["float32", "mixed_bfloat16"] = "float32"
) -> LoadedModel:
    """A trained model with its tokenizer. One that you still hold is given again, not read again.

    >>> roots.load("work/pretrained")
    <LoadedModel work/pretrained/model: pretrainer, 939,394 parameters>

    Args:
        path: a model folder, or the output folder of the run of pretrain, finetune or distill that
            wrote it.
        precision: what products are computed in.

    Raises:
        InputError: there is no model, or it is damaged.
    """
    return inference.load(path, precision)


@overload
def encode(model: LoadedModel | PathLike, texts: str) -> list[int]: ...
@overload
def encode(model: LoadedModel | PathLike, texts: Iterable[str]) -> list[list[int]]: ...
def encode(
    model: LoadedModel | PathLike, texts: str | Iterable[str]
) -> list[int] | list[list[int]]:
    """Ids of the pieces of a text, without [CLS] and [SEP]; `decode` gives the text back.

    >>> roots.encode(model, "Return the eigenvalues of a symmetric matrix.")
    [260, 192, 2797, 206, 94, 2282, 549, 69]
    >>> roots.encode(model, ["one", "one two"])
    [[479], [479, 817]]

    Args:
        model: or a path, which may also be that of a tokenizer.
        texts: one, or several.

    Raises:
        InputError: there is no tokenizer, or something is no text.
    """
    listed, is_one = listed_texts(texts)
    ids, splits = tokenizer_of(model).encode(listed)
    rows = [ids[a:b].tolist() for a, b in zip(splits, splits[1:], strict=False)]
    return rows[0] if is_one else rows


@overload
def decode(model: LoadedModel | PathLike, ids: Sequence[int]) -> str: ...
@overload
def decode(model: LoadedModel | PathLike, ids: Sequence[Sequence[int]]) -> list[str]: ...
def decode(
    model: LoadedModel | PathLike, ids: Sequence[int] | Sequence[Sequence[int]]
) -> str | list[str]:
    """The text of ids, special tokens among it: what the tokenizer has kept of it.

    >>> roots.decode(model, [260, 192, 2797, 206, 94, 2282, 549, 69])
    'return the eigenvalues of a symmetric matrix.'

    Args:
        model: as for `encode`.
        ids: of one text, or of several.

    Raises:
        InputError: there is no tokenizer, or something is no id.
    """
    tokenizer, rows = tokenizer_of(model), items(ids)
    is_one = all(isinstance(i, int | np.integer) for i in rows)
    texts = []
    for row in [rows] if is_one else rows:
        array = np.asarray(row)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise InputError(
                "wrong-value", f"found {row!r:.80}; wanted ids, or a list of ids for each text"
            )
        if wrong := [i for i in array.tolist() if not 0 <= i < tokenizer.size]:
            raise InputError(
                "wrong-value", f"found the id {wrong[0]}; wanted ids from 0 to {tokenizer.size - 1}"
            )
        texts.append(tokenizer.decode(array, skip_special_tokens=False))
    return texts[0] if is_one else texts


def embed(
    model: LoadedModel | PathLike,
    texts: str | Iterable[str],
    *,
    pooling: Literal["mean", "cls", "pooler"] | None = None,
    l2_normalize: bool | None = None,
    max_seq_length: int = 0,
    prompt_name: str | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Vectors of texts, as `roots embed` makes them: float32 [B, H]; of one text [H].

    >>> texts = ["Sort the array.", "Sort an array in place.", "Open the socket."]
    >>> roots.embed(model, texts).shape
    (3, 128)
    >>> vectors = roots.embed(model, texts, l2_normalize=True)
    >>> (vectors @ vectors[0]).round(3)
    array([1.   , 0.936, 0.634], dtype=float32)

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
    listed, is_one = listed_texts(texts)
    check("embed", pooling=pooling, max_seq_length=max_seq_length, batch_size=batch_size)
    loaded = loaded_model(model)
    given = (pooling, l2_normalize, max_seq_length, prompt_name)
    settings = loaded.embedding_settings.with_flags(*given)
    vectors = loaded.embedder(settings, batch_size)(listed)
    return vectors[0] if is_one else vectors


@overload
def fill_mask(model: LoadedModel | PathLike, texts: str, *, top_k: int = 5) -> dict[str, Any]: ...
@overload
def fill_mask(
    model: LoadedModel | PathLike, texts: Iterable[str], *, top_k: int = 5
) -> list[dict[str, Any]]: ...
def fill_mask(
    model: LoadedModel | PathLike, texts: str | Iterable[str], *, top_k: int = 5
) -> dict[str, Any] | list[dict[str, Any]]:
    """The likeliest pieces at each [MASK], as `roots fill-mask --json` prints them.

    >>> roots.fill_mask(model, "Return the [MASK] of the array.", top_k=2)
    {'text': 'Return the [MASK] of the array.',
     'masks': [[{'piece': 'number', 'probability': 0.09727753698825836},
                {'piece': 'size', 'probability': 0.06424406915903091}]]}

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
    listed, is_one = listed_texts(texts)
    check("fill-mask", top=top_k)
    loaded = loaded_model(model)
    inference.check_fills(loaded.description, str(loaded.folder))
    answers = [inference.fill(text, loaded.model, loaded.tokenizer, top_k) for text in listed]
    return answers[0] if is_one else answers


@overload
def predict(
    model: LoadedModel | PathLike, rows: str | Mapping[str, Any], *, batch_size: int = 64
) -> dict[str, Any]: ...
@overload
def predict(
    model: LoadedModel | PathLike,
    rows: Iterable[str | Mapping[str, Any] | Sequence[str]],
    *,
    batch_size: int = 64,
) -> list[dict[str, Any]]: ...
def predict(
    model: LoadedModel | PathLike,
    rows: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any] | Sequence[str]],
    *,
    batch_size: int = 64,
) -> dict[str, Any] | list[dict[str, Any]]:
    """Answers of a fine-tuned model, as `roots predict` writes them.

    >>> answers = roots.predict("work/task", ["Open the socket.", "Pad the convolution."])
    >>> [(answer["label"], round(answer["score"], 3)) for answer in answers]
    [('python', 0.462), ('sklearn', 0.521)]

    Args:
        model: or a path, of a model that finetune wrote.
        rows: a text, or a dictionary of texts by column, or several of either; of pairs also
            `(text, text_pair)`. Columns by task: text of classification, regression and tagging,
            with text_pair of pairs, as of similarity and contrastive; text and choices of multiple
            choice; question and context of question answering; source of sequence to sequence.
        batch_size: rows computed at once.

    Returns:
        Of each row a dictionary: label and probabilities; value; choice; tags and entities; answer,
        with its place in the text in characters; target and its score.

    Raises:
        InputError: the model was not fine-tuned, answers prompts, or a row is none of its task.
    """
    check("predict", batch_size=batch_size)
    is_one = isinstance(rows, str | Mapping)
    listed: list[Any] = [rows] if is_one else items(rows)
    loaded = loaded_model(model)
    if loaded.kind.generates:
        raise InputError(
            "wrong-model-kind",
            f"found a model for {loaded.kind.name}, which answers prompts: generate",
        )
    if not listed:
        return []
    examples = inference.answer_rows(loaded.kind, listed)
    answers = loaded.answers(examples, batch_size)
    return answers[0] if is_one else answers


def generate(
    model: LoadedModel | PathLike,
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

    >>> roots.generate("work/novels", "The captain", max_new_tokens=12, decoding="greedy")
    "The captain's\\nsunset, and the man who had been"
    >>> roots.generate("work/novels", "She opened the door", max_new_tokens=24, top_p=0.9, seed=3)
    'She opened the door; her eyebrows grew fur-tick, against a bowered coat, and her eyes dropping
    from her gray face'

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
    check("generate", **settings, **numbers)
    how = generation.Settings(**settings)
    with flags_named():
        program.check(how)  # which takes no temperature of 0, as the flag does to say more of it
    inference.check_samples(num_samples, decoding)
    prompts = prompts if isinstance(prompts, str) else items(prompts)
    loaded = loaded_model(model)
    texts, is_one = inference.asked(loaded, prompts)
    found = inference.answers(loaded, texts, how, **numbers)
    answers = found if details else [answer["prompt"] + answer["text"] for answer in found]
    return answers[0] if is_one and num_samples == 1 else answers
