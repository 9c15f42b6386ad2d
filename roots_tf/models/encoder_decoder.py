"""An encoder-decoder: one text in, another out, token by token.

Vaswani et al. 2017, arXiv:1706.03762, section 3.1: the decoder is a stack in which no token sees a
later one, and whose blocks attend to the encoder's states between the two sub-layers they have
anyway. T5, BART and Marian are made of these parts.
"""

import dataclasses

import keras
import tensorflow as tf

from roots_tf.models.attention import Context, View, seen_keys
from roots_tf.models.cache import Cache, EmptyCache
from roots_tf.models.causal_lm import OutputTable, projected
from roots_tf.models.config import DecoderConfig, EncoderConfig
from roots_tf.models.encoder import Encoder
from roots_tf.models.layers import Weights
from roots_tf.seeds import Place
from roots_tf.storage.files import InputError


class OutputBias(Weights):
    """A bias of logits.

    Args:
        config: of the model.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(place=Place(0, "output"), **kwargs)  # it begins at 0, of any seed
        self.bias = self.vector("bias", config.vocabulary_size)


class EncoderDecoder(keras.Model):
    """An encoder and a decoder that attends to it.

    Args:
        config: sizes of the encoder.
        decoder: sizes of the decoder, of the same hidden size; None: as the encoder's.
        seed: of the initial weights.
        precision: as for `Encoder`.
        recompute: likewise.

    Raises:
        InputError: the sizes of the two do not go together.
    """

    def __init__(
        self,
        config: EncoderConfig,
        decoder: DecoderConfig | None = None,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="encoder_decoder", dtype=precision)
        decoder = DecoderConfig.like(config) if decoder is None else decoder
        check_pair(config, decoder)
        self.config, self.decoder_config = config, decoder
        self.description = {"decoder": dataclasses.asdict(decoder)}  # of `model.json`
        self.encoder = Encoder(config, seed, precision, recompute)
        self.decoder = Encoder(
            *(decoder, seed, precision, recompute, "decoder"),
            causal=True,
            cross_attention=True,
            token=self.encoder.embeddings.token if decoder.shares_tokens else None,
        )
        self.head = None if decoder.tied else OutputTable(decoder, seed, dtype=precision)
        self.bias = OutputBias(decoder, dtype=precision) if decoder.output_bias else None
        self.built = True

    @property
    def output_table(self) -> keras.Variable:
        """The output embedding [V, H]."""
        return self.decoder.embeddings.token if self.head is None else self.head.table

    @property
    def output_bias(self) -> tf.Tensor | None:
        """That of the logits, float32 [V]; None where there is none."""
        return None if self.bias is None else tf.convert_to_tensor(self.bias.bias)

    def call(self, features, seed=None):
        """States of the decoder, before the output embedding.

        Args:
            features: of the source, as for `Encoder.call`; of the target `decoder_token_ids` and
                `decoder_padding_mask` [B, T], which begin with the start of a text. In packed rows
                both also have `position_ids` and `document_ids`, those of the target with
                "decoder_" before the name.
            seed: int32 [2] turns dropout on and decides its masks; None is inference.

        Returns:
            [B, T, H] in the compute type.
        """
        return self.decode(features, self.encoder(features, seed=seed), seed)

    def decode(self, features, encoded, seed=None):
        """As `call`, from states of the encoder.

        Args:
            features: likewise.
            encoded: [B, L, H], what the encoder gives for them.
            seed: likewise.
        """
        target = {
            name.removeprefix("decoder_"): feature
            for name, feature in features.items()
            if name.startswith("decoder_")
        }
        if self.decoder_config.num_segments > 1:
            target["segment_ids"] = tf.zeros_like(target["token_ids"])
        view = View(target["token_ids"], seen_keys(features, target))
        return self.decoder(target, seed=seed, context=Context(encoded, view))

    def output_rows(self, hidden_states) -> tf.Tensor:
        """States [..., H], as the output embedding is multiplied by them."""
        if not self.decoder_config.output_scale:
            return hidden_states
        return hidden_states * self.decoder_config.hidden_dim**-0.5

    def logits(self, hidden_states) -> tf.Tensor:
        """Of the tokens of a target: [..., H] -> float32 [..., V]."""
        logits = projected(self.output_rows(hidden_states), self.output_table)
        return logits if self.bias is None else logits + self.output_bias

    def conditioned(self, features) -> "Conditioned":
        """The decoder with its source, which is encoded here; `features` as for `Encoder.call`."""
        return Conditioned(self, features, self.encoder(features))


class Conditioned:
    """A decoder that attends to given texts, as what decodes takes a causal language model.

    Rows of its steps may be more than those of the texts: as many for each, one after the other.

    Args:
        model: an `EncoderDecoder`.
        features: of the sources, of which `padding_mask` [B, L] is read.
        encoded: [B, L, H], what the encoder gives for them.
    """

    def __init__(self, model: EncoderDecoder, features, encoded):
        self.config, self._model = model.decoder_config, model
        mask = features["padding_mask"]
        self._context = Context(encoded, View(mask, mask[:, None, None]))

    def caches(self, length: int, xla: bool = False) -> list[EmptyCache]:
        """Empty caches, one a block; arguments as for `Stack.caches`."""
        return self._model.decoder.stack.caches(length, xla)

    def step(
        self, queries, keys, caches: list[Cache | EmptyCache]
    ) -> tuple[tf.Tensor, list[Cache]]:
        """The states of some new tokens; `queries`, `keys`, `caches` as for `Encoder.step`."""
        view = dataclasses.replace(self._context.view, token_ids=queries["token_ids"])
        context = Context(self._context.states, view)
        return self._model.decoder.step(queries, keys, caches, context)

    def logits(self, hidden_states) -> tf.Tensor:
        """As `EncoderDecoder.logits`; `hidden_states` as there."""
        return self._model.logits(hidden_states)


def check_pair(config: EncoderConfig, decoder: DecoderConfig) -> None:
    """Refuses two stacks that cannot be joined.

    Args:
        config: sizes of the encoder.
        decoder: of the decoder.

    Raises:
        InputError: they cannot.
    """
    names = ("hidden_dim", *("vocabulary_size",) * decoder.shares_tokens)
    for name in names:
        found, other = getattr(config, name), getattr(decoder, name)
        if found != other:
            raise InputError(
                "wrong-sizes",
                f"found {name}={found} of an encoder and {other} of its decoder; wanted one",
            )
