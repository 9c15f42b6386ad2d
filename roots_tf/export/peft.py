"""An adapter for Hugging Face peft: low-rank pairs beside the names of transformers' modules.

    adapter_config.json           peft's `LoraConfig`
    adapter_model.safetensors     `lora_A` [rank, K], `lora_B` [M, rank] of modules, and the head

It goes onto the base as `roots export --format=huggingface` writes it. Where transformers keeps as
one module what has several pairs here, as GPT-2 keeps queries, keys and values, the pairs are one
of their ranks together whose second matrix is zero outside of its blocks: the same product. Where
all have the same first matrix, as an adapter of peft that `incoming_peft` read, it stands once.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from roots_tf import models, tasks
from roots_tf.export import causal_folders, causal_names, hugging_face, weight_names
from roots_tf.export.new_folder import new_folder
from roots_tf.models import low_rank
from roots_tf.storage import files
from roots_tf.storage.files import InputError

# By class of transformers' head, `TaskType` of peft; a causal model's is CAUSAL_LM.
TASK_TYPES = {
    "BertForSequenceClassification": "SEQ_CLS",
    "BertForTokenClassification": "TOKEN_CLS",
    "BertForQuestionAnswering": "QUESTION_ANS",
    "BertModel": "FEATURE_EXTRACTION",
}


class _Names(NamedTuple):
    """What transformers calls the model and its parts.

    Attributes:
        task_type: of peft; None where it has none for the head.
        kernels: by our name of a matrix, names of one weight or of one for each map in it.
        head: weights of the head, by name.
        is_turned: whether modules keep kernels as [in, out].
    """

    task_type: str | None
    kernels: dict[str, list[str]]
    head: dict[str, np.ndarray]
    is_turned: bool


def write(folder: str | Path, adapter: models.Adapter) -> Path:
    """Writes a folder that `peft.PeftModel.from_pretrained` loads.

    Args:
        folder: where to; must not exist, or be empty.
        adapter: of low-rank pairs.

    Returns:
        The path of `folder`.

    Raises:
        InputError: the adapter is of another way, or the model has parts that BERT, GPT-2 and Llama
            of transformers lack; or `folder` is not new.
    """
    tuning, source = adapter.tuning, str(adapter.folder)
    if tuning.name != "lora":
        raise InputError(
            "cannot-export",
            f"found an adapter of --tune={tuning.name} in {source}; --format=peft writes one of "
            "--tune=lora: merge it with its base, and export that as a saved_model",
        )
    learned = adapter.weights()
    names = _names(adapter.described, learned, source)
    arrays, ranks = dict(names.head), {}
    for kernel in low_rank.targeted(models.make(adapter.described), tuning.targets):
        down, up = (learned[f"{kernel.path}/{part}"] for part in ("down", "up"))
        pairs = low_rank.pairs(kernel, tuning.targets, down, up)
        for name, first, second in _of_modules(names.kernels[kernel.path], pairs, kernel.parts):
            ranks[name] = first.shape[1]
            arrays[f"{name}.lora_A.weight"] = first.T
            arrays[f"{name}.lora_B.weight"] = second.T
    arrays = {f"base_model.model.{n}": np.ascontiguousarray(a) for n, a in arrays.items()}
    with new_folder(folder) as temporary:
        path = temporary / "adapter_model.safetensors"
        safetensors.numpy.save_file(arrays, path, {"format": "pt"})
        path.chmod(0o644)  # safetensors writes for its owner only
        files.write_json(temporary / "adapter_config.json", _config(names, ranks, tuning))
    return Path(folder)


def _names(described: dict, learned: dict[str, np.ndarray], source: str) -> _Names:
    """What transformers calls the parts of a model."""
    config, kind = described["encoder"], tasks.kind_of(described)
    if described["kind"] == "causal_lm":
        family = causal_folders.family_of(config)
        parts, target = causal_folders.PARTS[family], f"transformers' {family}"
        causal_folders.refuse_other_parts(config, parts, source, target)
        places = causal_names.weights_of(family, config)
        prefixes = causal_names.with_prefix(family, [n for p in places.values() for n in p.names])
        kernels = {ours: [prefixes[n] for n in place.names] for ours, place in places.items()}
        return _Names("CAUSAL_LM", kernels, {}, family == "gpt2")
    if described["kind"] == "encoder_decoder":
        raise InputError(
            "cannot-export",
            f"found an adapter of an encoder_decoder in {source}; peft's format is written of an "
            "encoder or a causal_lm: merge it with its base, and export that",
        )
    hugging_face.refuse_other_parts(config, source, "Hugging Face's BERT")
    architecture = (kind.transformers.architecture if kind else "") or "BertModel"
    head = {name: learned[name] for name in learned if not name.endswith(("/down", "/up"))}
    if "classes/kernel" in head:
        both = ("classes/kernel", "classes/bias")
        head |= zip(both, kind.scaled_head(*map(head.get, both)), strict=True)
    theirs = weight_names.from_ours("hugging_face", head, config.num_layers)
    places = weight_names.weights_of("hugging_face", config.num_layers)

    def named(name: str) -> str:
        has_head = architecture != "BertModel"
        return hugging_face.with_prefix(name, architecture) if has_head else name

    return _Names(
        TASK_TYPES.get(architecture),
        {ours: [named(n) for n in place.names] for ours, place in places.items()},
        {named(name): array for name, array in theirs.items()},
        False,
    )


def _of_modules(names: list[str], pairs: list, widths: tuple[int, ...]):
    """Name, A [K, rank] and B [rank, M] of each module with an update.

    Args:
        names: of the weights of one module, or of one for each map.
        pairs: A and B of each map, None of one without an update.
        widths: of each map.
    """
    modules = [name.removesuffix(".weight") for name in names]
    if len(modules) == len(pairs):
        found = zip(modules, pairs, strict=True)
        yield from ((name, *pair) for name, pair in found if pair is not None)
        return
    downs = [pair[0] for pair in pairs if pair]
    if len(downs) == len(pairs) and all(np.array_equal(downs[0], other) for other in downs[1:]):
        yield modules[0], downs[0], np.concatenate([pair[1] for pair in pairs], 1)
        return
    down = np.concatenate(downs, 1)
    up, row, column = np.zeros([down.shape[1], sum(widths)], down.dtype), 0, 0
    for pair, width in zip(pairs, widths, strict=True):
        if pair:
            rank = pair[1].shape[0]
            up[row : row + rank, column : column + width] = pair[1]
            row += rank
        column += width
    yield modules[0], down, up


def _config(names: _Names, ranks: dict[str, int], tuning) -> dict:
    """What `adapter_config.json` says."""
    scale = tuning.lora_alpha / tuning.lora_rank
    others = {name: rank for name, rank in ranks.items() if rank != tuning.lora_rank}
    # The module that has a name of its own above the weights: `pooler` of `bert.pooler.dense`.
    head = {n.removeprefix("bert.").partition(".")[0] for n in names.head}
    return {
        "peft_type": "LORA",
        "task_type": names.task_type,
        "base_model_name_or_path": "",
        "inference_mode": True,
        "r": tuning.lora_rank,
        "lora_alpha": tuning.lora_alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": names.is_turned,
        "target_modules": sorted(ranks),
        "rank_pattern": others,
        "alpha_pattern": {name: scale * rank for name, rank in others.items()},
        "modules_to_save": sorted(head) or None,
    }
