"""Where fine-tuning starts from: the folder of a model, those of two, or sizes and a tokenizer.

    --init_from=MODEL                        its weights; with --random_init its sizes alone
    --init_from=ENCODER --init_decoder=GPT   an encoder-decoder of both (BERT2GPT)
    --init_from=ENCODER                      of an encoder-decoder both halves (BERT2BERT)
    --tokenizer=FOLDER --num_layers=4 ...    random weights of these sizes

Rothe et al. 2020, "Leveraging Pre-trained Checkpoints for Sequence Generation Tasks",
arXiv:1907.12461, section 3.1: what attends to the source is new, all else starts from the folders.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal, NamedTuple

from absl import logging

from roots_tf import models, program, tasks, tokenizers
from roots_tf.models import sizes
from roots_tf.models.config import PRESETS, SIZES
from roots_tf.models.tuning import ALL, Tuning
from roots_tf.storage.files import InputError


@dataclasses.dataclass(frozen=True)
class ModelFlags:
    """What is trained of the model, and from where."""

    init_from: str = program.flag(
        "", help="model folder to start from, with its tokenizer", role="input"
    )
    init_decoder: str = program.flag(
        "",
        help="sequence_to_sequence: folder of a causal_lm that the decoder starts from, beside an "
        "encoder in --init_from; none: from the encoder too",
        role="input",
    )
    random_init: bool = program.flag(False, help="start from random weights of the same sizes")
    tokenizer: str = program.flag(
        "",
        help="folder of a tokenizer, in place of --init_from: random weights, of the sizes below",
        role="input",
    )
    preset: Literal[("auto", *PRESETS)] = program.flag(
        "auto",
        help="parts of a new model, with --tokenizer; auto: bart for sequence_to_sequence, "
        "gpt2 for completion, else bert",
    )
    size: Literal[(*SIZES, "custom")] = program.flag(
        "custom", help="layers and widths of a new model, as published; custom: the next four flags"
    )
    num_layers: int = program.flag(0, help="layers, of a decoder too", **program.LAYERS)
    hidden_dim: int = program.flag(0, help="hidden size", **program.WIDTH)
    num_heads: int = program.flag(0, help="attention heads", **program.WIDTH)
    intermediate_dim: int = program.flag(0, help="feed-forward width", **program.WIDTH)
    initializer_range: float = program.flag(
        0.0,
        help="deviation of a new model's weights; 0: 0.02 sqrt(768 / hidden_dim), BERT-base's at "
        "every width",
        minimum=0,
        maximum=1,
    )
    decoder_layers: int = program.flag(
        0, help="layers of a new decoder; 0: as many as the encoder has", **program.LAYERS
    )
    dropout: float = program.flag(
        -1.0,
        help="dropout rate; -1: that of the pretrained model, 0.1 of a new one",
        **program.DROPOUT,
    )
    attention_dropout: float = program.flag(
        -1.0, help="rate on attention weights; -1: as the model has it", **program.DROPOUT
    )
    activation_dropout: float = program.flag(
        -1.0, help="rate inside of feed-forward layers; -1: as the model has it", **program.DROPOUT
    )
    frozen_layers: int = program.flag(
        -1,
        help="0: embeddings stay as they are; n: so do the first n blocks of the encoder; -1: all "
        "is trained",
        minimum=0,
        maximum=1000,
    )


class Start(NamedTuple):
    """The model that fine-tuning starts from, before its weights are read.

    Attributes:
        encoder: its sizes; those of its only stack, where there is one.
        decoder: sizes of the decoder of an encoder-decoder; None of other models.
        tokenizer: the model's.
        kind: of the model in the folder; "" of a new one.
        embedding: how the model of the folder makes vectors; None of a new one.
        tuning: what of the model is trained.
    """

    encoder: "models.EncoderConfig"
    decoder: "models.DecoderConfig | None"
    tokenizer: tokenizers.Tokenizer
    kind: str = ""
    embedding: "models.EmbeddingSettings | None" = None
    tuning: Tuning = ALL

    @property
    def pad_id(self) -> int:
        """Id that stands on padding."""
        return self.tokenizer.causal_pad_id

    @property
    def described(self) -> dict:
        """Sizes of the stacks, as `models.describe` gives them, and `embedding` if it is known."""
        decoder = {"decoder": self.decoder} if self.decoder else {}
        embedding = {"embedding": self.embedding} if self.embedding else {}
        return {"encoder": self.encoder} | decoder | embedding

    def make_model(self, kind, seed: int, precision: str = "float32", recompute: bool = False):
        """A model with random weights.

        Args:
            kind: of task.
            seed: of the weights.
            precision: as for `models.Encoder`.
            recompute: likewise.
        """
        decoder = {"decoder": self.decoder} if kind.decodes else {}
        return kind.make_model(self.encoder, seed, precision, recompute, **decoder)

    def whole(self, kind, seed: int, model):
        """A model that has learned what one in training has, in float32 and without parts beside.

        Args:
            kind: of task.
            seed: of the model.
            model: trained, from `make_model` and `load`; itself, if there is nothing to change.
        """
        if model.compute_dtype == "float32" and not self.tuning.keeps:
            return model
        whole, trained = self.make_model(kind, seed), models.named_weights(model)
        for name, weight in models.named_weights(whole).items():
            weight.assign(trained[name])
        self.tuning.merge(whole, self.tuning.learned(model))
        return whole


def start_of(flags: ModelFlags, kind, length: int, tuning: Tuning = ALL) -> Start:
    """The start that flags ask for.

    Args:
        flags: of the program.
        kind: class of the task.
        length: tokens of the longest row of a new model.
        tuning: what of the model is trained.

    Raises:
        InputError: flags are missing or contradict, a folder holds no model that the task can
            start from, two folders do not go together, or the tuning does not apply.
    """
    if not (flags.init_from or flags.tokenizer):
        raise InputError(
            "missing-flag",
            "found no --init_from; wanted a model folder to start from, or --tokenizer and sizes "
            "for a model of random weights",
        )
    start = _of_folders(flags, kind) if flags.init_from else _new(flags, kind, length)
    _check_tuning(flags, start, tuning, kind)
    rates = ("dropout", "attention_dropout", "activation_dropout")
    rates = {name: getattr(flags, name) for name in rates if getattr(flags, name) >= 0}
    encoder = tuning.grown(dataclasses.replace(start.encoder, **rates))
    decoder = start.decoder and tuning.grown(dataclasses.replace(start.decoder, **rates))
    return start._replace(encoder=encoder, decoder=decoder, tuning=tuning)


def _check_tuning(flags: ModelFlags, start: Start, tuning: Tuning, kind) -> None:
    """Refuses to leave weights as they are that nobody has trained."""
    tuning.check(start.encoder, *filter(None, [start.decoder]))
    if not tuning.keeps:
        return
    found = [f"--{name}" for name in ("tokenizer", "random_init") if getattr(flags, name)]
    found += ["--frozen_layers"] * (flags.frozen_layers >= 0)
    if kind.decodes and start.kind != "encoder_decoder":
        found.append(f"a decoder that {flags.init_from} does not have")
    if found:
        raise InputError(
            "flags-conflict",
            f"found --tune={tuning.name} and {found[0]}; wanted --tune=all, or a model in "
            "--init_from whose own weights stay as they are",
        )


def _new(flags: ModelFlags, kind, length: int) -> Start:
    """A model of the sizes that flags give."""
    if flags.init_decoder:
        raise InputError(
            "flags-conflict",
            "found --init_decoder and no --init_from; wanted both, or neither",
        )
    preset = flags.preset
    if preset == "auto":
        preset = "bart" if kind.decodes else "gpt2" if kind.generates else "bert"
    tokenizer = tokenizers.load(flags.tokenizer)
    fields = {"vocabulary_size": tokenizer.size, "max_sequence_length": length}
    numbers = {name: getattr(flags, name) for name in sizes.NUMBERS}
    encoder = sizes.config(flags.size, preset, numbers, **fields)
    # What a layer makes of its input then has one size at every width: narrow models learn sooner.
    deviation = flags.initializer_range or 0.02 * math.sqrt(768 / encoder.hidden_dim)
    encoder = dataclasses.replace(encoder, initializer_range=deviation, causal=kind.generates)
    return Start(encoder, _like(flags, encoder) if kind.decodes else None, tokenizer)


def _like(flags: ModelFlags, encoder: "models.EncoderConfig") -> "models.DecoderConfig":
    """A decoder of an encoder's sizes, but for the layers that flags give."""
    layers = flags.decoder_layers or encoder.num_layers
    return models.DecoderConfig.like(encoder, num_layers=layers)


def _of_folders(flags: ModelFlags, kind) -> Start:
    """The model of a folder, or the one that two folders make."""
    asked = ("tokenizer", "num_layers", "hidden_dim", "num_heads", "intermediate_dim")
    asked = [name for name in (*asked, "initializer_range") if getattr(flags, name)]
    asked += ["size"] * (flags.size != "custom") + ["preset"] * (flags.preset != "auto")
    if asked:
        raise InputError(
            "flags-conflict",
            f"found --init_from and --{asked[0]}; wanted --init_from without it, whose model has "
            "all of that; or --tokenizer and sizes for a model of random weights",
        )
    described = models.describe(flags.init_from)
    encoder, tokenizer = models.stack_config(described), tokenizers.load(flags.init_from)
    embedding = tasks.embedding_settings(described, flags.init_from)
    start = Start(encoder, described.get("decoder"), tokenizer, described["kind"], embedding)
    if kind.model == "pretrainer" and described["kind"] != kind.model and not flags.random_init:
        raise InputError(
            "wrong-model-kind",
            f"found a model of kind {described['kind']} in {flags.init_from} for "
            f"--task={kind.name}, which asks for the word in place of [MASK]; wanted a masked or a "
            "causal language model, which pretrain writes",
        )
    is_new = kind.decodes and start.decoder is None
    if not is_new and (flags.init_decoder or flags.decoder_layers):
        name = "init_decoder" if flags.init_decoder else "decoder_layers"
        raise InputError(
            "flags-conflict",
            f"found --{name} and a {described['kind']} in {flags.init_from} for --task={kind.name};"
            " wanted it where an encoder gets a decoder for sequence_to_sequence alone",
        )
    if not is_new or encoder.causal:  # which the caller refuses
        return start
    if not flags.init_decoder:
        return start._replace(decoder=_like(flags, encoder))
    return start._replace(decoder=_of_causal(flags, encoder, tokenizer))


def _of_causal(flags: ModelFlags, encoder, tokenizer) -> "models.DecoderConfig":
    """Sizes of a decoder that starts from a causal language model."""
    described = models.describe(flags.init_decoder)
    if not models.is_causal(described):
        raise InputError(
            "wrong-model-kind",
            f"found a model of kind {described['kind']} in {flags.init_decoder}; wanted a "
            "causal_lm for --init_decoder, which pretrain --objective=causal_lm writes",
        )
    if tokenizers.load(flags.init_decoder).fingerprint != tokenizer.fingerprint:
        raise InputError(
            "wrong-vocabulary",
            f"found different tokenizers in {flags.init_from} and {flags.init_decoder}; wanted "
            "one: pretrain both on examples of the same tokenizer",
        )
    decoder = models.DecoderConfig.like(described["encoder"], shares_tokens=False)
    if flags.decoder_layers:
        decoder = dataclasses.replace(decoder, num_layers=flags.decoder_layers)
    if encoder.hidden_dim != decoder.hidden_dim:
        raise InputError(
            "wrong-sizes",
            f"found hidden_dim={encoder.hidden_dim} in {flags.init_from} and {decoder.hidden_dim} "
            f"in {flags.init_decoder}; wanted one",
        )
    return decoder


def load(flags: ModelFlags, start: Start, model) -> None:
    """Gives a model the weights that it starts from, and those that are trained beside them.

    Random ones stay where there are none.

    Args:
        flags: of the program.
        start: of them.
        model: that `Start.make_model` has made.

    Raises:
        InputError: weights are missing or damaged.
    """
    if flags.init_from and not flags.random_init:
        _load_weights(flags, start, model)
    start.tuning.prepare(model)


def _load_weights(flags: ModelFlags, start: Start, model) -> None:
    is_new = start.tuning.is_new
    if model.name == "pretrainer":
        models.load_common(flags.init_from, model, is_new)
    elif start.decoder is None or model.name != "encoder_decoder":
        if not models.load_encoder(flags.init_from, model, is_new):
            logging.warning("%s has no pooler; it starts at random", flags.init_from)
    elif start.kind == "encoder_decoder":
        weights = models.named_weights(model).items()
        models.load_weights(flags.init_from, {n: w for n, w in weights if not is_new(n)})
    else:
        models.load_encoder(flags.init_from, model)
        _load_decoder(flags.init_decoder or flags.init_from, model)


def _load_decoder(folder: str, model) -> None:
    """Gives the decoder the weights of a single stack, where names and shapes agree."""
    from roots_tf.models import weights_file

    stored, found, new = weights_file.header(Path(folder)), {}, []
    for name, variable in models.named_weights(model).items():
        if name.startswith("encoder/"):
            continue
        theirs = name.replace("decoder/", "encoder/", 1)
        if theirs in stored and stored[theirs].shape == tuple(variable.shape):
            found[theirs] = variable
        else:
            new.append(name)
    weights_file.assign(folder, {name: variable.assign for name, variable in found.items()})
    logging.info(
        "the decoder starts with %d weights of %s; %d begin anew, such as %s",
        *(len(found), folder, len(new), new[0] if new else "none"),
    )
