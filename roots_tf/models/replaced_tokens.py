"""A generator that puts other tokens into a text, and an encoder that finds them (ELECTRA).

Clark et al. 2020, arXiv:2003.10555, sections 2 and 3. The generator is a small masked language
model; the discriminator is an encoder like any other, and what stays when training is over.
"""

import keras
import tensorflow as tf

from roots_tf.models.config import EncoderConfig, GeneratorConfig
from roots_tf.models.embeddings import Embeddings
from roots_tf.models.encoder import Encoder, MaskedLMHead
from roots_tf.models.layers import Dense, Weights, bias_activation
from roots_tf.models.stack import Stack
from roots_tf.seeds import Place


class DetectionHead(Weights):
    """A dense layer, its activation and one unit: [B, L, H] -> [B, L].

    That of `get_discriminator_output` in google-research/electra's `run_pretraining.py`.

    Args:
        config: of the model.
        seed: of its initial weights.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, seed: int, **kwargs):
        super().__init__(place=Place(seed, "detection"), **kwargs)
        hidden, self.activation = config.hidden_dim, config.activation
        how = {"scale": config.initializer_range, "dtype": self.dtype_policy}
        with keras.name_scope(self.name):
            place = self.place / "transform"
            self.transform = Dense(hidden, hidden, config.bias, place=place, **how)
            self.output_layer = Dense(hidden, 1, place=self.place / "output", **how)

    def call(self, hidden_states, training=False):
        """Logits, float32 [B, L], of `hidden_states` [B, L, H]; compiled in `training`."""
        rows = tf.reshape(hidden_states, [-1, hidden_states.shape[-1]])  # [B*L, H]
        product = self.transform(rows, product=True)
        rows = bias_activation(*product, training=training, kind=self.activation)
        logits = tf.cast(self.output_layer(rows), tf.float32)  # [B*L, 1]
        return tf.reshape(logits, tf.shape(hidden_states)[:2])  # [B, L]


class Discriminator(keras.Model):
    """An encoder and, for each token, whether it was put there by another model.

    Args:
        config: its sizes.
        seed: as for `Encoder`.
        precision: likewise.
        recompute: likewise.
    """

    def __init__(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="discriminator", dtype=precision)
        self.config = config
        self.encoder = Encoder(config, seed, precision, recompute)
        self.detection = DetectionHead(config, seed, dtype=precision)
        self.built = True

    def call(self, features, seed=None):
        """Logits that tokens were replaced, float32 [B, L]; arguments as for `Encoder.call`."""
        return self.detection(self.encoder(features, seed=seed), training=seed is not None)


class Generator(Weights):
    """A masked language model with embeddings of the discriminator, or of its own.

    Args:
        config: its sizes, and what it shares.
        discriminator: the encoder that it shares with.
        seed: of the initial weights.
        recompute: as for `Encoder`.
        **kwargs: as for `Weights`.
    """

    def __init__(
        self, config: GeneratorConfig, discriminator: Encoder, seed: int, recompute: bool, **kwargs
    ):
        super().__init__(Place(seed, "generator"), config.initializer_range, **kwargs)
        self.config, shared, dtype = config, discriminator.embeddings, self.dtype_policy
        separate, hidden = config.embedding_sharing == "separate", config.hidden_dim
        embedded = config if separate else discriminator.config
        width, self.projection = embedded.hidden_dim, None
        with keras.name_scope(self.name):
            self.embeddings = shared
            if config.embedding_sharing != "tied":
                token, place = None if separate else shared.token, self.place / "embeddings"
                self.embeddings = Embeddings(embedded, token, place=place, dtype=dtype)
            if width != hidden:
                place, scale = self.place / "projection", config.initializer_range
                how = {"place": place, "scale": scale, "dtype": dtype}
                self.projection = Dense(width, hidden, config.bias, **how)
            place = self.place / "masked_lm"
            self.masked_lm = MaskedLMHead(embedded, place, hidden, dtype=dtype)
        self.stack = Stack(config, recompute=recompute, place=self.place, dtype=dtype)

    def call(self, features, seed=None):
        """Logits of what stands at the masked positions.

        Args:
            features: as for `Encoder.call`, and `masked_lm_positions` [B, P].
            seed: int32 [2] or None, as for `Encoder.call`.

        Returns:
            float32 [B*P, V].
        """
        seed = self.place.dropout(seed)  # shared embeddings drop other numbers here than there
        rows = self.embeddings(features, seed=seed)  # [B*L, width of the embedding]
        rows = rows if self.projection is None else self.projection(rows)
        for state in self.stack.walk(rows, self.stack.views(features), seed):
            rows = state.hidden_states
        shape = tf.concat([tf.shape(features["token_ids"]), [self.config.hidden_dim]], 0)
        return self.masked_lm(
            tf.reshape(rows, shape),
            features["masked_lm_positions"],
            self.embeddings.token,
            training=seed is not None,
        )


class Difference(Weights):
    """What a discriminator adds to the token embedding of its generator, [V, H]: 0 at first.

    Args:
        config: of the discriminator.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(**kwargs)
        shape = config.vocabulary_size, config.hidden_dim
        self.token = self.add_weight(name="token", shape=shape, initializer="zeros", autocast=False)


class ReplacedTokens(keras.Model):
    """A discriminator and its generator, which are trained together.

    Where embeddings are gradient-disentangled the table of the encoder is the generator's, which
    alone trains it; the discriminator sees it with a difference of its own (He et al. 2021,
    arXiv:2111.09543, section 3.3). `finished` adds the two up.

    Args:
        config: sizes of the discriminator.
        generator: sizes of the generator, and what it shares.
        seed: as for `Encoder`.
        precision: likewise.
        recompute: likewise.
    """

    def __init__(
        self,
        config: EncoderConfig,
        generator: GeneratorConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ):
        super().__init__(name="replaced_tokens", dtype=precision)
        self.config = config
        self.discriminator = Discriminator(config, seed, precision, recompute)
        self.generator = Generator(generator, self.encoder, seed, recompute, dtype=precision)
        self.difference = None
        if generator.embedding_sharing == "gradient_disentangled":
            self.difference = Difference(config, place=Place(seed, "difference"), dtype=precision)
        self.built = True

    @property
    def encoder(self) -> Encoder:
        """That of the discriminator."""
        return self.discriminator.encoder

    def call(self, features, seed=None):
        """Logits that tokens were replaced, float32 [B, L]; arguments as for `Encoder.call`."""
        if self.difference is not None:
            ids, table = features["token_ids"], self.encoder.embeddings.token
            theirs = tf.stop_gradient(tf.gather(table, ids))
            own = tf.gather(self.difference.token, ids)
            features = features | {"token_embeddings": theirs + own}  # [B, L, H]
        return self.discriminator(features, seed=seed)

    def likeliest(self, features, top: int, num_tokens: int) -> tuple[tf.Tensor, tf.Tensor]:
        """As `Pretrainer.likeliest`, of the generator; `features`, `top`, `num_tokens` as there."""
        logits = self.generator(features)[:, :num_tokens]
        probabilities, ids = tf.math.top_k(tf.nn.softmax(logits), min(top, num_tokens))
        return ids, probabilities

    def finished(self) -> Discriminator:
        """The discriminator, with the token embedding that it sees; training is over then."""
        if self.difference is not None:
            table, own = self.encoder.embeddings.token, self.difference.token
            table.assign(tf.convert_to_tensor(table) + tf.convert_to_tensor(own))
            own.assign(tf.zeros_like(own))
        return self.discriminator
