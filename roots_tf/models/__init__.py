"""Features in, hidden states and logits out: the encoder, its heads, and model folders.

TensorFlow is loaded when a name is used that needs it: sizes and presets do not.
"""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Adapter": "adapter",
        "CausalLM": "causal_lm",
        "Classifier": "heads",
        "EmbeddingSettings": "vectors",
        "DecoderConfig": "config",
        "Discriminator": "replaced_tokens",
        "Encoder": "encoder",
        "EncoderConfig": "config",
        "EncoderDecoder": "encoder_decoder",
        "GeneratorConfig": "config",
        "MaskedAndCausalLM": "masked_and_causal",
        "PRESETS": "config",
        "PooledEncoder": "encoder",
        "Pretrainer": "encoder",
        "ReplacedTokens": "replaced_tokens",
        "SIZES": "config",
        "TokenClassifier": "heads",
        "causal_step_flops": "flops",
        "check_frozen": "depth",
        "describe": "description",
        "embedding_settings": "vectors",
        "encoder_decoder_step_flops": "flops",
        "fills_masks": "kinds",
        "is_causal": "kinds",
        "last_token": "pooling",
        "load": "folder",
        "load_common": "folder",
        "load_encoder": "folder",
        "load_weights": "folder",
        "make": "folder",
        "mean_pool": "pooling",
        "named_weights": "folder",
        "parameters": "flops",
        "pool": "pooling",
        "preset_fields": "config",
        "rate_multipliers": "depth",
        "replaced_tokens_step_flops": "flops",
        "save": "folder",
        "save_adapter": "adapter",
        "stack_config": "description",
        "step_flops": "flops",
        "write": "folder",
    },
)
