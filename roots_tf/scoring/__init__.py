"""Ids in, log-probabilities out: windows of long texts, the chain rule, pseudo-log-likelihood."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Asked": "texts",
        "Row": "model_rows",
        "Scorer": "model_rows",
        "causal_rows": "model_rows",
        "continued": "texts",
        "masked_rows": "pseudo_likelihood",
        "of_texts": "perplexity",
        "whole": "texts",
    },
)
