"""Sizes and parts of an encoder, as one frozen dataclass that is saved beside the weights."""

import dataclasses
from typing import Literal

from roots_tf.files import InputError

# Layers and hidden size; heads are H/64 and the feed-forward layer is 4H wide. Devlin et al. 2019
# (arXiv:1810.04805) section 3 for base and large; Turc et al. 2019 (arXiv:1908.08962) table 1 and
# the README of google-research/bert for the smaller ones.
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is made of. The defaults are BERT as published.

    Attributes:
        vocabulary_size: V, rows of the token embedding.
        num_layers: transformer blocks.
        hidden_dim: H.
        num_heads: N; must divide H.
        intermediate_dim: I, width of the feed-forward layer.
        max_sequence_length: rows of the learned position embedding.
        num_segments: rows of the segment embedding.
        dropout: rate after embeddings and sub-layers, and on attention probabilities.
        norm: "post" normalises after each residual sum (BERT); "pre" before each sub-layer, and
            once more after the last block (Xiong et al. 2020, arXiv:2002.04745).
        activation: "gelu" (by the error function) or "gelu_tanh" (the approximation in
            google-research/bert's code).
        layer_norm_epsilon: added to the variance.
        initializer_range: standard deviation of the truncated normal that weights start from.
    """

    vocabulary_size: int
    num_layers: int
    hidden_dim: int
    num_heads: int
    intermediate_dim: int
    max_sequence_length: int = 512
    num_segments: int = 2
    dropout: float = 0.1
    norm: Literal["post", "pre"] = "post"
    activation: Literal["gelu", "gelu_tanh"] = "gelu"
    layer_norm_epsilon: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self):
        if self.num_heads < 1 or self.hidden_dim % self.num_heads:
            raise InputError(
                f"found hidden_dim={self.hidden_dim} and num_heads={self.num_heads}; wanted a "
                "number of heads that divides the hidden size; change one of the two"
            )

    @classmethod
    def of_size(cls, size: str, **fields) -> "EncoderConfig":
        """The published size of that name, with other fields as given.

        Raises:
            InputError: there is no size of that name.
        """
        if size not in SIZES:
            raise InputError(f"found size {size!r}; wanted one of {', '.join(SIZES)}")
        num_layers, hidden_dim = SIZES[size]
        published = {
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "num_heads": hidden_dim // 64,
            "intermediate_dim": 4 * hidden_dim,
        }
        return cls(**published | fields)
