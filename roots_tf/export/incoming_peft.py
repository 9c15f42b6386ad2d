"""An adapter of Hugging Face peft as one of ours: LoRA of BERT, GPT-2 and Llama.

    adapter_config.json           peft's `LoraConfig`
    adapter_model.safetensors     `lora_A` [rank, K], `lora_B` [M, rank] of modules, and the head

What `peft.write` has written comes back as it was. Every update there has a rank and a scale of its
own; here all have one of each. Those of lower rank get columns of zeros, and other scales go into
the second matrix. GPT-2 keeps queries, keys and values as one module: they get a pair each.
"""

import dataclasses
import itertools
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from roots_tf import models, tasks
from roots_tf.export import bert_config, causal_folders, causal_names, hugging_face, weight_names
from roots_tf.export import peft as leaving
from roots_tf.export.safetensors_files import load
from roots_tf.models import low_rank, weights_file
from roots_tf.models.description import ModelFile
from roots_tf.models.tuning import TARGETS, LowRankTuning
from roots_tf.storage import checksums, files, schema
from roots_tf.storage.files import InputError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Fields that, where they are set, make of an adapter more or other than pairs of matrices.
_OTHER_WAYS = (
    *("use_dora", "use_qalora", "use_bdlora", "lora_bias", "alora_invocation_tokens"),
    *("layer_replication", "trainable_token_indices", "target_parameters", "arrow_config"),
    *("kasa_config", "monteclora_config", "velora_config"),
)
# What transformers writes before the names of a stack, where a model has a head.
_PREFIXES = ("", "bert.", "transformer.", "model.")
# Starts that leave the base as it was; others, such as PiSSA's, take something from its weights.
_STARTS = (True, False, "gaussian", "eva", "orthogonal")


class Incoming(NamedTuple):
    """An adapter that was read.

    Attributes:
        tuning: how it was learned.
        learned: weights by our names.
        description: what `model.json` says of the base and the adapter together.
    """

    tuning: LowRankTuning
    learned: dict[str, np.ndarray]
    description: dict


@dataclasses.dataclass(frozen=True)
class _Config:
    """What is read of `adapter_config.json`; the defaults are peft's."""

    peft_type: str
    r: int = schema.number(8, minimum=1)
    lora_alpha: float = schema.number(8.0, above=0)
    bias: str = "none"
    task_type: str | None = None
    init_lora_weights: bool | str = True
    use_rslora: bool = False
    rank_pattern: dict[str, int] = dataclasses.field(default_factory=dict)
    alpha_pattern: dict[str, float] = dataclasses.field(default_factory=dict)

    def rank_and_scale(self, module: str) -> tuple[int, float]:
        """Of the update of a module, by its name; the first pattern that ends it counts."""
        rank = self.rank_pattern.get(_matching(self.rank_pattern, module), self.r)
        alpha = self.alpha_pattern.get(_matching(self.alpha_pattern, module), self.lora_alpha)
        # The root: Kalajdzievski 2023, arXiv:2312.03732.
        return rank, alpha / (math.sqrt(rank) if self.use_rslora else rank)


class _Update(NamedTuple):
    """The update of a map.

    Attributes:
        down: A [K, rank].
        up: B [rank, M].
        scale: what A B is multiplied by.
    """

    down: np.ndarray
    up: np.ndarray
    scale: float


def read(folder: str | Path, base: str | Path) -> Incoming:
    """The adapter of a folder.

    Args:
        folder: that `peft.PeftModel.save_pretrained` or `peft.write` wrote.
        base: our model folder of the model that it was trained on.

    Raises:
        InputError: it is no LoRA, or one with more than pairs of matrices; or what it holds is
            damaged or not of such a base.
    """
    path, source = Path(folder, CONFIG), str(Path(folder, WEIGHTS))
    config, described = _config(path), models.describe(base)
    if not Path(source).is_file():
        raise InputError(
            "no-such-file",
            f"found no {WEIGHTS} in {folder}; wanted it beside {CONFIG}: load a pickle in peft, "
            "and save_pretrained(..., safe_serialization=True)",
        )
    places = _places(described, str(base))
    stored = _named(load(Path(source)), source)
    description = _description(config, described, base, stored, str(path))
    made = schema.check(description, ModelFile, str(path)).stacks
    model = models.make(description | made)
    updates = {}
    for kernel in low_rank.targeted(model, TARGETS):
        updates[kernel.path] = _of_kernel(config, kernel, places[kernel.path], stored, source)
    if not any(update for of_kernel in updates.values() for update in of_kernel):
        raise InputError(
            "wrong-base",
            f"found no update of a matrix of {base} in {source}; wanted lora_A and lora_B of its "
            "query, key, value, output or feed-forward maps: give the base that the adapter is of",
        )
    head = _head(model, stored, source)
    if stored:
        raise InputError(
            "unsupported-model",
            f"found {min(stored)} in {source}; wanted lora_A and lora_B of maps in the blocks of "
            f"{base}, and its head: give the base that the adapter is of, or merge it in peft",
        )
    tuning, learned = _together(config, low_rank.targeted(model, TARGETS), updates, str(path))
    kept = {n: tuple(w.shape) for n, w in models.named_weights(model).items() if n not in head}
    weights_file.check(base, kept, None)
    return Incoming(tuning, learned | head, description)


def _config(path: Path) -> _Config:
    """What the file says, if it is of an adapter that is pairs of matrices alone."""
    said = schema.read_object(path)
    config = schema.check(said, _Config, str(path), others_may_stand=True)
    found = [f"{name}={said[name]!r}" for name in _OTHER_WAYS if said.get(name)]
    found += [f"peft_type={config.peft_type!r}"] * (config.peft_type != "LORA")
    found += [f"bias={config.bias!r}"] * (config.bias != "none")
    start = config.init_lora_weights
    found += [f"init_lora_weights={start!r}"] * (start not in _STARTS)
    if found:
        raise InputError(
            "unsupported-model",
            f"found {found[0]} in {path}; wanted an adapter of peft_type='LORA' without more: "
            "merge it in peft (merge_and_unload), save that, and import it as a model",
        )
    return config


def _matching(patterns: dict, module: str) -> str:
    """The first of the patterns that a module's name ends with, as peft has it."""
    for pattern in patterns:
        try:
            if any(re.match(rf"(.*\.)?({pattern})$", prefix + module) for prefix in _PREFIXES):
                return pattern
        except re.error as error:
            raise InputError(
                "wrong-json",
                f"found the pattern {pattern!r} in {CONFIG}, which is no regular expression "
                f"({error}); copy the folder again",
            ) from error
    return module


def _named(stored: dict, source: str) -> dict[str, np.ndarray]:
    """Arrays without what peft and transformers write before their names."""
    found = {}
    for name, array in stored.items():
        for prefix in ("base_model.model.", *_PREFIXES):
            name = name.removeprefix(prefix)
        name = name.replace("qa_outputs.", "classifier.")
        if name in found:
            raise InputError(
                "named-twice", f"found {name} twice in {source}; wanted one adapter there"
            )
        found[name] = array
    return found


def _places(described: dict, base: str) -> dict[str, tuple[str, ...]]:
    """Names of the modules that stand in each of our matrices, by its name.

    Raises:
        InputError: transformers has no such model.
    """
    config, wanted = (
        described["encoder"],
        "the BERT, GPT-2 or Llama that the adapter was trained on",
    )
    if "decoder" in described:
        raise InputError(
            "wrong-base", f"found an encoder_decoder in {base}; wanted {wanted}: import that first"
        )
    try:
        if models.is_causal(described):
            family = causal_folders.family_of(config)
            parts = causal_folders.PARTS[family]
            causal_folders.refuse_other_parts(config, parts, base, f"transformers' {family}")
            places = causal_names.weights_of(family, config)
        else:
            hugging_face.refuse_other_parts(config, base, "Hugging Face's BERT")
            places = weight_names.weights_of("hugging_face", config.num_layers)
    except InputError as error:
        raise InputError(
            "wrong-base",
            f"found parts of no such model in {base} ({str(error).partition(';')[0]}); wanted "
            f"{wanted}, as import writes it",
        ) from error
    return {
        ours: tuple(name.removesuffix(".weight") for name in place.names)
        for ours, place in places.items()
        if ours.endswith("kernel") and "/layer_" in ours
    }


def _description(config: _Config, described: dict, base, stored: dict, source: str) -> dict:
    """What `model.json` says of the base with its update: a task where the adapter brings a head.

    Args:
        config: of the adapter.
        described: the base.
        base: folder of it.
        stored: arrays by name.
        source: of the config, for messages.
    """
    own = files.read_json(Path(base, checksums.MODEL))
    own = {name: value for name, value in own.items() if name != checksums.KEY}
    architecture = {task: name for name, task in leaving.TASK_TYPES.items()}.get(config.task_type)
    if models.is_causal(described) or architecture in (None, "BertModel"):
        return own
    head, kind = stored.get("classifier.weight"), tasks.kind_of(described)
    is_same = kind is not None and kind.transformers.architecture == architecture
    # A head that comes along gives numbers as they are, and not in the unit of a training file.
    if is_same and (head is None or kind.has_labels()):
        return own
    if head is None or not head.ndim:
        raise InputError(
            "wrong-weights",
            f"found no weight of the head beside task_type={config.task_type!r} of {source}, nor "
            f"such a head in {base}; wanted one of the two",
        )
    encoder = models.stack_config(described)
    sizes = {theirs: getattr(encoder, ours) for ours, theirs in bert_config.SIZES.items()}
    unnamed = bert_config.BertConfig(**sizes)
    kind = bert_config.kind_of_head(unnamed, architecture, len(head), source)
    return models.description_of(kind.make_model(encoder), **kind.description())


def _of_kernel(config: _Config, kernel, modules, stored: dict, source: str) -> list[_Update | None]:
    """The update of each map in a matrix; None of one without.

    Args:
        config: of the adapter.
        kernel: from `low_rank.targeted`.
        modules: names of the modules there, of each map or of all.
        stored: arrays by name, from which those of the matrix are taken.
        source: file, for messages.
    """
    is_one = len(modules) < len(kernel.parts)
    widths = (sum(kernel.parts),) if is_one else kernel.parts
    found = []
    for module, width in zip(modules, widths, strict=True):
        names = [f"{module}.lora_{part}.weight" for part in "AB"]
        if not any(name in stored for name in names):
            found.append(None)
            continue
        rank, scale = config.rank_and_scale(module)
        shapes = (rank, kernel.shape[0]), (width, rank)
        pair = []
        for name, shape in zip(names, shapes, strict=True):
            array = weight_names.checked(stored, name, shape, source)
            pair.append(weight_names.finite(array, name, source).T)
        for name in names:
            del stored[name]
        found.append(_Update(*pair, scale))
    return _apart(found[0], kernel.parts, config.r) if is_one else found


def _apart(update: _Update | None, parts: tuple[int, ...], rank: int) -> list[_Update | None]:
    """The updates of maps that stand side by side in one module.

    `peft.write` puts pairs of a `rank` into one, whose second matrix is zero outside of its blocks:
    they are found again. Else each map has the first matrix and its own columns of the second.
    """
    if update is None:
        return [None] * len(parts)
    columns = np.split(update.up, np.cumsum(parts)[:-1], 1)
    count, rest = divmod(len(update.up), rank)
    if not rest and count <= len(parts):
        for chosen in itertools.combinations(range(len(parts)), count):
            blocks = [slice(i * rank, (i + 1) * rank) for i in range(count)]
            outside = [column.copy() for column in columns]
            for block, index in zip(blocks, chosen, strict=True):
                outside[index][block] = 0
            if not any(map(np.any, outside)):
                found = dict.fromkeys(range(len(parts)))
                for block, index in zip(blocks, chosen, strict=True):
                    down, up = update.down[:, block], columns[index][block]
                    found[index] = update._replace(down=down, up=up)
                return list(found.values())
    return [update._replace(up=column) for column in columns]


def _together(config: _Config, kernels, updates: dict, source: str):
    """The tuning, and our weights of it: one rank and one scale for all.

    Args:
        config: of the adapter.
        kernels: the matrices of the model.
        updates: by name of a matrix, of each of its maps.
        source: file, for messages.
    """
    given = [u for of_kernel in updates.values() for u in of_kernel if u is not None]
    names = {
        name
        for kernel in kernels
        for name, update in zip(low_rank.maps(kernel), updates[kernel.path], strict=True)
        if update is not None
    }
    targets = tuple(name for name in TARGETS if name in names)
    rank = max(config.r, *(len(update.up) for update in given))
    scale = given[0].scale if config.use_rslora else config.lora_alpha / config.r
    settings = rank, scale * rank, () if targets == TARGETS else targets
    tuning = schema.check(
        dict(zip(("lora_rank", "lora_alpha", "lora_targets"), settings, strict=True)),
        LowRankTuning,
        source,
    )
    learned = {}
    for kernel in (k for k in kernels if low_rank.is_targeted(k, targets)):
        downs, ups = [], []
        maps = zip(low_rank.maps(kernel), updates[kernel.path], kernel.parts, strict=True)
        for name, update, width in maps:
            if name in targets:
                down, up = _widened(update, (kernel.shape[0], width), rank, scale)
                downs.append(down)
                ups.append(up)
        learned[f"{kernel.path}/down"] = np.concatenate(downs, 1)
        learned[f"{kernel.path}/up"] = np.concatenate(ups, 1)
    return tuning, learned


def _widened(update: _Update | None, shape, rank: int, scale: float):
    """A and B of a rank, for a scale: the product is that of an update of a lower one, or zero."""
    down, up = np.zeros([shape[0], rank], np.float32), np.zeros([rank, shape[1]], np.float32)
    if update is not None:
        ratio, own = update.scale / scale, len(update.up)
        down[:, :own] = update.down
        is_same = math.isclose(ratio, 1, rel_tol=1e-12)
        up[:own] = update.up if is_same else (update.up.astype("float64") * ratio)
    return down, up


def _head(model, stored: dict, source: str) -> dict[str, np.ndarray]:
    """Our weights of pooler and classes that are stored, from which they are taken."""
    parts, head = weight_names.parts_in("hugging_face", stored) & {"pooler", "classes"}, {}
    named = models.named_weights(model).items()
    shapes = {n: tuple(w.shape) for n, w in named if n.partition("/")[0] in parts}
    if shapes:
        layers = model.config.num_layers
        head = weight_names.to_ours("hugging_face", stored, shapes, layers, source)
        for name in weight_names.from_ours("hugging_face", head, layers):
            del stored[name]
    return head
