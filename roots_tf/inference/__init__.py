"""A trained model and texts in, answers out: what programs and the Python API ask of a model."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Embedder": "vectors",
        "LoadedModel": "loaded",
        "answer_rows": "rows",
        "answers": "continuing",
        "asked": "continuing",
        "check_causal": "continuing",
        "check_fills": "masks",
        "check_samples": "continuing",
        "described": "continuing",
        "fill": "masks",
        "find": "folders",
        "load": "loaded",
        "rendered": "continuing",
    },
)
