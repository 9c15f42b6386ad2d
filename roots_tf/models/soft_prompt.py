"""A soft prompt: trained vectors before a text's embeddings (Lester et al. 2021, arXiv:2104.08691).

    [CLS] a good one [SEP]   ->   v0 v1 v2 [CLS] a good one [SEP]

The vectors stand where rows of the token table would (section 2). They have places like any token:
the prompt the first P, the text those behind it, whether positions are learned, sinusoidal, rotary
or relative, and segment 0. So the longest text is P tokens shorter than it was. Every token of the
text sees the prompt, also where tokens see no later ones; in a layer with a window those near it
do. What a model gives is of the text alone: the first vector is that of [CLS], as before.
"""

import tensorflow as tf

from roots_tf.models.cache import EmptyCache
from roots_tf.models.config import EncoderConfig
from roots_tf.models.layers import Weights


class SoftPrompt(Weights):
    """The vectors [P, H].

    Args:
        config: of the encoder.
        **kwargs: as for `Weights`.
    """

    def __init__(self, config: EncoderConfig, **kwargs):
        super().__init__(scale=config.initializer_range, **kwargs)
        self.length = config.prompt_length
        size = self.length, config.hidden_dim
        self.vectors = self.matrix("vectors", *size, table=True)

    def begin(self, table) -> None:
        """Takes rows of the token `table` [V, H], drawn by the model's seed (section 3.2)."""
        self.vectors.assign(
            tf.gather(table, drawn(self.place.initial(), self.length, table.shape[0]))
        )

    def before(self, features, table):
        """Features of P more tokens in each row, with their embeddings.

        >>> features = {"token_ids": tf.constant([[7, 8]]), "padding_mask": tf.ones([1, 2], bool)}
        >>> sorted(prompt.before(features, table))  # of a prompt of 3
        ['padding_mask', 'token_embeddings', 'token_ids']
        >>> prompt.before(features, table)["token_ids"].numpy()
        array([[0, 0, 0, 7, 8]], dtype=int32)

        Args:
            features: as for `Encoder.call`.
            table: of tokens, [V, H].

        Rows are of one document, as all but those of pretraining are.
        """
        assert "document_ids" not in features
        embedded = features.get("token_embeddings")
        if embedded is None:
            embedded = tf.gather(table, features["token_ids"])  # [B, L, H]
        embedded = tf.cast(embedded, tf.float32)
        rows = tf.shape(embedded)[0]
        vectors = tf.repeat(tf.convert_to_tensor(self.vectors)[None], rows, 0)  # [B, P, H]
        found = self.behind(features) | self.places(features)
        if "segment_ids" in features:
            found["segment_ids"] = tf.pad(features["segment_ids"], [[0, 0], [self.length, 0]])
        if "position_ids" in found:
            first = tf.repeat(tf.range(self.length)[None], rows, 0)
            found["position_ids"] = tf.concat([first, found["position_ids"]], 1)
        return found | {"token_embeddings": tf.concat([vectors, embedded], 1)}  # [B, P+L, H]

    def behind(self, features):
        """The `features` with positions that begin behind the prompt, where they have some."""
        places = features.get("position_ids")
        return features if places is None else features | {"position_ids": places + self.length}

    def places(self, features):
        """`token_ids` and, where it is there, `padding_mask`, of P more tokens: [B, P+L]."""
        room = [[0, 0], [self.length, 0]]
        found = {"token_ids": tf.pad(features["token_ids"], room)}
        if "padding_mask" in features:
            found["padding_mask"] = tf.pad(features["padding_mask"], room, constant_values=True)
        return found

    def step(self, queries, keys, caches, table):
        """What `Encoder.step` is given, with the prompt: it runs before the first tokens do.

        Args:
            queries: as for `Encoder.step`.
            keys: likewise.
            caches: likewise; with P places more than the keys have.
            table: as for `before`.

        Returns:
            Queries [B, P+Lq] or [B, Lq], and keys [B, P+Lmax].
        """
        is_first = isinstance(caches[0], EmptyCache)
        queries = self.before(queries, table) if is_first else self.behind(queries)
        return queries, self.places(keys)

    def without(self, state):
        """A `State` [B, P+L, ...] of the text alone; weights then miss what the prompt takes."""
        own = slice(self.length, None)
        maps = {"scores": state.scores, "weights": state.weights}
        maps = {name: x[:, :, own, own] for name, x in maps.items() if x is not None}
        if state.seen is not None:
            queries = own if state.seen.shape[2] != 1 else slice(None)
            maps["seen"] = state.seen[:, :, queries, own]
        return state._replace(hidden_states=state.hidden_states[:, own], **maps)


def drawn(seed: int, count: int, rows: int) -> tf.Tensor:
    """Ids of `count` rows of a vocabulary of `rows`, int32 [count], drawn by a `seed`.

    The paper draws from the 5,000 most frequent tokens; which these are, no tokenizer here says.
    """
    return tf.random.stateless_uniform([count], [seed, 0], 0, rows, tf.int32)
