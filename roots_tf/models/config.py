"""Sizes and parts of an encoder, as one frozen dataclass that is saved beside the weights."""

import dataclasses
import math
from typing import Literal

from roots_tf import spelling
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

# Layers and hidden size; heads are H/64 and the feed-forward layer is 4H wide. Devlin et al. 2019
# (arXiv:1810.04805) section 3 for base and large; Turc et al. 2019 (arXiv:1908.08962) table 1 and
# the README of google-research/bert for the smaller ones. Radford et al. 2019, "Language Models are
# Unsupervised Multitask Learners", table 2 for GPT-2, with a window of 1,024 and 50,257 ids.
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
    "gpt2_small": (12, 768),
    "gpt2_medium": (24, 1024),
    "gpt2_large": (36, 1280),
    "gpt2_xl": (48, 1600),
}

# Parts by the paper they come from; what a preset leaves out is BERT's, the defaults of
# `EncoderConfig`. Sections of "modern" are those of Warner et al. 2024, "ModernBERT",
# arXiv:2412.13663; unlike that model, ours keeps the segment embedding, which next-sentence pairs
# need, the norm before the first attention, and one dropout rate everywhere. Those of "gpt2" are of
# Radford et al. 2019 where nothing else is said, those of "llama" of Touvron et al. 2023a,
# arXiv:2302.13971, those of "transformer" of Vaswani et al. 2017 (arXiv:1706.03762), those of "t5"
# of Raffel et al. 2020 (arXiv:1910.10683), those of "bart" of Lewis et al. 2019 (arXiv:1910.13461).
PRESETS = {
    "bert": {},
    "modern": {
        "norm": "pre",  # section 2.1.1; Xiong et al. 2020 (arXiv:2002.04745)
        "feed_forward": "glu",  # section 2.1.1; GeGLU of Shazeer 2020 (arXiv:2002.05202)
        "positions": "rotary",  # section 2.1.1; Su et al. 2021 (arXiv:2104.09864)
        "bias": False,  # section 2.1.1: in linear layers but the last, and in norms
        "window": 128,  # section 2.1.2
        "global_every": 3,  # section 2.1.2
        "rotary_base": 160_000.0,  # section 2.1.2, layers that see everything
        "local_rotary_base": 10_000.0,  # section 2.1.2, layers that see a window
        "layer_norm_epsilon": 1e-5,  # `norm_eps` of the released models
    },
    "gpt2": {
        "norm": "pre",  # section 2.3, with a last norm
        "scaled_residuals": True,  # section 2.3
        "embedding_norm": False,  # `wte` + `wpe` in the released code, src/model.py
        "num_segments": 0,  # likewise
        "activation": "gelu_tanh",  # likewise
        "layer_norm_epsilon": 1e-5,  # likewise
    },
    "llama": {
        "norm": "pre",  # section 2.2
        "normalization": "rms",  # section 2.2; Zhang and Sennrich 2019 (arXiv:1910.07467)
        "feed_forward": "glu",  # section 2.2; Shazeer 2020 (arXiv:2002.05202)
        "activation": "silu",  # section 2.2, as SwiGLU
        "positions": "rotary",  # section 2.2; Su et al. 2021 (arXiv:2104.09864)
        "bias": False,  # in the released code, llama/model.py
        "embedding_norm": False,  # likewise
        "num_segments": 0,  # likewise
        "layer_norm_epsilon": 1e-5,  # `norm_eps` of Llama 2 (arXiv:2307.09288)
    },
    "transformer": {
        "activation": "relu",  # section 3.3, equation 2
        "positions": "sinusoidal",  # section 3.5
        "attention_dropout": 0.0,  # section 5.4: on sub-layers' outputs and embeddings alone
        "embedding_norm": False,  # figure 1
        "embedding_scale": True,  # section 3.4
        "num_segments": 0,  # figure 1
        "layer_norm_epsilon": 1e-5,  # of fairseq, Marian in transformers and all of PyTorch
    },
    "t5": {
        "norm": "pre",  # section 2.1
        "normalization": "rms",  # section 2.1, "a simplified version of layer normalization"
        "positions": "relative",  # section 2.1
        "attention_scale": False,  # mesh_tensorflow's `transformer_layers.SelfAttention`
        "feed_forward": "glu",  # version 1.1; Shazeer 2020 (arXiv:2002.05202)
        "activation": "gelu_tanh",  # version 1.1
        "bias": False,  # section 2.1, and in the released code
        "embedding_norm": False,  # likewise
        "num_segments": 0,  # likewise
        "scaled_residuals": True,  # of this project: AdamW, not T5's Adafactor, trains them
        "layer_norm_epsilon": 1e-6,  # mesh_tensorflow's `rms_norm`
    },
    "bart": {
        "num_segments": 0,  # section 2.1: RoBERTa's parts but for the decoder
        "layer_norm_epsilon": 1e-5,  # fairseq's `LayerNorm`
    },
}


# Parts that `finetune --tune` adds to a model.
ADDED = {"prompt_length": 0, "prefix_length": 0, "adapter_dim": 0}
# Parts that no folder of others holds, such as one of transformers.
OWN = ADDED | {"query_key_norm": False, "masked_logit_cap": 0.0}


def preset_fields(name: str) -> dict:
    """Fields of `EncoderConfig` that a preset sets.

    Raises:
        InputError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise InputError(
            "no-such-choice",
            f"found preset {name!r}; wanted one of {', '.join(PRESETS)}"
            f"{spelling.suggestion(name, PRESETS)}",
        )
    return PRESETS[name]


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is made of. The defaults are BERT as published.

    Attributes:
        vocabulary_size: V, rows of the token embedding.
        num_layers: transformer blocks.
        hidden_dim: H.
        num_heads: N; must divide H.
        intermediate_dim: I, width of the feed-forward layer.
        max_sequence_length: the longest sequence; rows of the learned position embedding.
        num_segments: rows of the segment embedding; 0: there is none.
        dropout: rate after embeddings and sub-layers.
        attention_dropout: rate on attention probabilities; -1: that of `dropout`.
        activation_dropout: rate after the activation of the feed-forward layer.
        norm: "post" normalises after each residual sum (BERT); "pre" before each sub-layer, and
            once more after the last block (Xiong et al. 2020, arXiv:2002.04745).
        normalization: "layer" takes the mean off and divides by the deviation (Ba et al. 2016,
            arXiv:1607.06450); "rms" divides by the root of the mean square (Zhang and Sennrich
            2019, arXiv:1910.07467) and has no bias.
        embedding_norm: whether the sum of the embeddings is normalised, as BERT's is and GPT-2's
            is not.
        activation: "gelu" (by the error function), "gelu_tanh" (the approximation in
            google-research/bert's code and GPT-2's), "silu" (x times its sigmoid), "relu" or
            "relu_squared" (So et al. 2021, arXiv:2109.08668).
        feed_forward: "mlp" is act(x W) U; "glu" is (act(x W) * x V) U, with W and V [H, I]
            (Shazeer 2020, arXiv:2002.05202, section 2).
        positions: "learned" adds a vector to each position's embedding; "sinusoidal" adds sines and
            cosines of it (Vaswani et al. 2017, arXiv:1706.03762, section 3.5); "rotary" turns
            queries and keys by an angle that grows with the position (Su et al. 2021,
            arXiv:2104.09864); "relative" adds to scores a number for each head and distance, the
            same in all layers (Raffel et al. 2020, arXiv:1910.10683, section 2.1).
        rotary_base: the wavelengths of rotary positions grow from 2 pi to this times 2 pi.
        local_rotary_base: the same in layers that see a window.
        relative_buckets: numbers that a head has for distances; larger ones share one.
        relative_distance: distances from here on share the last.
        window: 0: a token sees its whole sequence; else it sees window / 2 tokens to each side.
        global_every: with a window, layers 0, n, 2n, ... see the whole sequence all the same.
        causal: whether tokens see no later ones, in a model whose kind does not say it, such as a
            classifier that was made of a causal language model.
        bias: False leaves out the biases of linear layers and norms, but for those of the last
            layers: vocabulary, next sentence and classes.
        layer_norm_epsilon: added to the variance.
        initializer_range: standard deviation of the truncated normal that weights start from.
        num_key_value_heads: heads of keys and values, each shared by as many query heads; must
            divide N. 0: N (Ainslie et al. 2023, arXiv:2305.13245, section 2.2).
        head_size: D; 0: H / N, which N then must divide.
        attention_scale: whether scores are divided by the root of D; T5's are not.
        embedding_scale: whether token embeddings are multiplied by the root of H.
        tied: whether the output embedding is the input's; if not, a causal model has one of its
            own. Other models have none.
        scaled_residuals: whether the matrices that end a sub-layer start from one smaller by the
            root of twice the number of layers, so that a deep stack's sum does not grow with it.
        zero_residuals: whether these matrices start from 0, so that a block begins as nothing but
            its residual sum (Zhang et al. 2019, arXiv:1901.09321); it stands above
            `scaled_residuals`.
        query_key_norm: whether the queries and keys of a head are divided by the root of their mean
            square before they are turned, without a gain (Henry et al. 2020, arXiv:2010.04245).
        masked_logit_cap: c, by which logits x of the head of masked tokens become c tanh(x / c)
            (Gemma 2, arXiv:2408.00118, section 2, which has 30); 0: they stay.
        prompt_length: vectors before every text (`soft_prompt`), which have the first positions;
            rows of the learned position embedding are as many more.
        prefix_length: keys and values before those of every text, in each layer (`prefix`).
        adapter_dim: width of a narrow layer behind each sub-layer (`bottleneck`); 0: there is none.
    """

    vocabulary_size: int = number(minimum=1, maximum=1 << 24)
    num_layers: int = number(minimum=1, maximum=1000)
    hidden_dim: int = number(minimum=1, maximum=1 << 16)
    num_heads: int = number(minimum=1, maximum=1 << 16)
    intermediate_dim: int = number(minimum=1, maximum=1 << 18)
    max_sequence_length: int = number(512, minimum=1, maximum=1 << 20)
    num_segments: int = number(2, minimum=0, maximum=1 << 10)
    dropout: float = number(0.1, minimum=0, maximum=0.99)
    attention_dropout: float = number(-1.0, minimum=-1, maximum=0.99)
    activation_dropout: float = number(0.0, minimum=0, maximum=0.99)
    norm: Literal["post", "pre"] = "post"
    normalization: Literal["layer", "rms"] = "layer"
    embedding_norm: bool = True
    activation: Literal["gelu", "gelu_tanh", "silu", "relu", "relu_squared"] = "gelu"
    feed_forward: Literal["mlp", "glu"] = "mlp"
    positions: Literal["learned", "sinusoidal", "rotary", "relative"] = "learned"
    rotary_base: float = number(10_000.0, above=1, maximum=1e12)
    local_rotary_base: float = number(10_000.0, above=1, maximum=1e12)
    relative_buckets: int = number(32, minimum=4, maximum=1 << 16)
    relative_distance: int = number(128, minimum=2, maximum=1 << 20)
    window: int = number(0, minimum=0, maximum=1 << 20)
    global_every: int = number(1, minimum=1, maximum=1000)
    causal: bool = False
    bias: bool = True
    layer_norm_epsilon: float = number(1e-12, minimum=0, maximum=1)
    initializer_range: float = number(0.02, minimum=0, maximum=1e3)
    num_key_value_heads: int = number(0, minimum=0, maximum=1 << 16)
    head_size: int = number(0, minimum=0, maximum=1 << 16)
    attention_scale: bool = True
    embedding_scale: bool = False
    tied: bool = True
    scaled_residuals: bool = False
    zero_residuals: bool = False
    query_key_norm: bool = False
    masked_logit_cap: float = number(0.0, minimum=0, maximum=1e6)
    prompt_length: int = number(0, minimum=0, maximum=1 << 16)
    prefix_length: int = number(0, minimum=0, maximum=1 << 16)
    adapter_dim: int = number(0, minimum=0, maximum=1 << 16)

    def __post_init__(self):
        schema.check_fields(self)
        if not self.head_size and self.hidden_dim % self.num_heads:
            raise InputError(
                "wrong-sizes",
                f"found hidden_dim={self.hidden_dim} and num_heads={self.num_heads}; wanted a "
                "number of heads that divides the hidden size, or a head_size; change one of them",
            )
        if self.num_heads % self.key_value_heads:
            raise InputError(
                "wrong-sizes",
                f"found num_heads={self.num_heads} and num_key_value_heads="
                f"{self.num_key_value_heads}; wanted a number that divides that of heads, or 0 for "
                "as many; change one of the two",
            )
        if self.positions == "rotary" and self.head_dim % 2:
            raise InputError(
                "wrong-sizes",
                f"found heads of size {self.head_dim} and rotary positions, which turn pairs of "
                "numbers; wanted an even size; change hidden_dim or num_heads",
            )
        if self.positions == "relative" and (
            self.relative_buckets % 4 or self.relative_distance <= self.relative_buckets // 2
        ):
            raise InputError(
                "wrong-sizes",
                f"found relative_buckets={self.relative_buckets} and relative_distance="
                f"{self.relative_distance}; wanted a multiple of 4 and a distance above half of it",
            )
        if 0 > self.attention_dropout != -1:
            raise InputError(
                "number-out-of-range",
                f"found attention_dropout={self.attention_dropout}; wanted a rate, or -1 for that "
                "of dropout",
            )
        if self.window % 2:
            raise InputError(
                "wrong-sizes", f"found window={self.window}; wanted an even one, or 0 for none"
            )

    @property
    def residual_range(self) -> float:
        """Deviation of the initial weights of the matrices that end a sub-layer."""
        if self.zero_residuals:
            return 0.0
        smaller = math.sqrt(2 * self.num_layers) if self.scaled_residuals else 1.0
        return self.initializer_range / smaller

    @property
    def head_dim(self) -> int:
        """D, the size of a head."""
        return self.head_size or self.hidden_dim // self.num_heads

    @property
    def attention_rate(self) -> float:
        """Dropout rate of attention probabilities."""
        return self.dropout if self.attention_dropout < 0 else self.attention_dropout

    @property
    def score_scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        return self.head_dim**-0.5 if self.attention_scale else 1.0

    @property
    def key_value_heads(self) -> int:
        """K, heads of keys and of values: N, unless query heads share them."""
        return self.num_key_value_heads or self.num_heads

    def is_local(self, layer: int) -> bool:
        """Whether the tokens of a layer, counted from 0, see a window only."""
        return self.window > 0 and layer % self.global_every != 0

    @classmethod
    def of_size(cls, size: str, preset: str = "bert", **fields) -> "EncoderConfig":
        """A published size with the parts of a preset.

        A gated feed-forward layer gets two thirds of the width, so that its three matrices hold
        as many weights as the two of an MLP (Shazeer 2020, section 3), to the nearest 64.

        Args:
            size: of `SIZES`.
            preset: of `PRESETS`.
            **fields: of the config, `vocabulary_size` at least; they stand above those of a preset.

        Raises:
            InputError: there is no size or no preset of that name.
        """
        if size not in SIZES:
            raise InputError(
                "no-such-choice",
                f"found size {size!r}; wanted one of {', '.join(SIZES)}"
                f"{spelling.suggestion(size, SIZES)}",
            )
        num_layers, hidden_dim = SIZES[size]
        fields = preset_fields(preset) | fields
        gated = fields.get("feed_forward") == "glu"
        published = {
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "num_heads": hidden_dim // 64,
            "intermediate_dim": 64 * round(hidden_dim / 24) if gated else 4 * hidden_dim,
        }
        return cls(**published | fields)


@dataclasses.dataclass(frozen=True)
class DecoderConfig(EncoderConfig):
    """What the decoder of an encoder-decoder is made of, and how it is joined to the encoder.

    Attributes:
        shares_tokens: whether its token embedding is the encoder's.
        output_bias: whether logits have a bias, as Marian's do.
        output_scale: whether states are divided by the root of H before the output embedding, as
            in T5 version 1.0, where that is the input's.
        start_ids: ids that a target begins with before its first token; none: the tokenizer's begin
            of text.
        source_begins: whether a source begins with the tokenizer's begin of text.
        forces_end: whether the last token that a target has room for is always its end, as
            `forced_eos_token_id` of transformers has it; else a target is cut off there.
    """

    shares_tokens: bool = True
    output_bias: bool = False
    output_scale: bool = False
    start_ids: tuple[int, ...] = ()
    source_begins: bool = True
    forces_end: bool = False

    @classmethod
    def like(cls, encoder: EncoderConfig, **fields) -> "DecoderConfig":
        """A decoder of an encoder's sizes and parts.

        Args:
            encoder: of the model.
            **fields: that differ.
        """
        # A soft prompt is of the text that an encoder reads; without it there is room again.
        longest = encoder.max_sequence_length + encoder.prompt_length
        own = {"causal": False, "prompt_length": 0, "max_sequence_length": longest}
        return cls(**dataclasses.asdict(encoder) | own | fields)


@dataclasses.dataclass(frozen=True)
class GeneratorConfig(EncoderConfig):
    """What the generator of replaced-token detection is made of, and what it shares.

    Attributes:
        embedding_sharing: "tied": its embeddings are the discriminator's, of whose width a matrix
            makes its own (Clark et al. 2020, arXiv:2003.10555, section 3.2); "separate": it has
            some of its own width; "gradient_disentangled": the table of tokens is its own, to which
            the discriminator adds a difference (He et al. 2021, arXiv:2111.09543, section 3.3).
    """

    embedding_sharing: Literal["tied", "gradient_disentangled", "separate"] = "tied"

    @classmethod
    def of_share(cls, discriminator: EncoderConfig, share: float, **fields) -> "GeneratorConfig":
        """A generator as deep as the discriminator, of a share of its width.

        Hidden size, heads and feed-forward width are that share, to the nearest number and 1 at
        least; heads keep their size.

        Args:
            discriminator: sizes of the discriminator.
            share: above 0.
            **fields: that differ.
        """
        names = ("hidden_dim", "num_heads", "intermediate_dim")
        narrow = {name: max(1, round(share * getattr(discriminator, name))) for name in names}
        shared = math.gcd(narrow["num_heads"], discriminator.num_key_value_heads)
        keys = shared if discriminator.num_key_value_heads else 0
        narrow |= {"head_size": discriminator.head_dim, "num_key_value_heads": keys}
        return cls(**dataclasses.asdict(discriminator) | narrow | fields)
