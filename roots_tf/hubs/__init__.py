"""Names of the Hugging Face hub in, folders out; folders in, commits out. No TensorFlow."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Fetched": "fetching",
        "PushFlags": "push_flags",
        "Target": "pushing",
        "fetch": "fetching",
        "told": "refusals",
    },
)
