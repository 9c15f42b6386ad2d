"""Text to ids and back: one definition, a bulk runtime and one inside the TensorFlow graph.

    tokenizer = tokenizers.load("vocabulary/")
    ids, row_splits = tokenizer.encode(texts)      # numpy, for building examples
    ragged_ids = tokenizer.graph().tokenize(texts)  # tf.RaggedTensor, for serving

Both give the same ids and the same character offsets on every string. Text that contains the
string of a special token, such as "[MASK]", becomes that token, as in Hugging Face `tokenizers`
(transformers: `split_special_tokens=False`): a fill-mask request is written that way. Whoever
encodes untrusted text for anything else should replace such strings first.
"""

from roots_tf.tokenizers.loading import load
from roots_tf.tokenizers.tokenizer import Encoded, Tokenizer

__all__ = ["Encoded", "Tokenizer", "load"]
