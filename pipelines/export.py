"""Write a SavedModel that takes text, for TensorFlow Serving and `tf.saved_model.load`.

    roots export --model=work/task/model --output=work/served

Takes half a minute. Writes `<output>/1/` with the signatures `serving_default` (strings) and `ids`
(token ids), loads it in a fresh process and compares its answers with the Python model's; on a
difference nothing is left under that name. Loading it needs `import tensorflow_text`, whose ops it
lists in `ops.json`.
"""

import dataclasses

from absl import logging

from roots_tf import models, program, tokenizers
from roots_tf.export import saved_model


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `export`."""

    model: str = program.flag(help="model folder that pretrain or finetune wrote")
    output: str = program.flag(help="folder for the versions of the served model")
    version: int = program.flag(1, help="number of this version")
    max_seq_length: int = program.flag(0, help="tokens of a text at most; 0: what the model takes")
    debug: bool = program.flag(False, help="texts of at most 16 tokens")


def main(config: Config) -> str:
    """Exports and returns the path of the SavedModel."""
    described = models.describe(config.model)
    longest = described["encoder"].max_sequence_length
    length = 16 if config.debug else min(config.max_seq_length or longest, longest)
    serving = saved_model.Serving(
        models.load(config.model),
        tokenizers.load(config.model),
        length,
        tuple(described["labels"]),
    )
    path = saved_model.export(serving, config.output, config.version)
    logging.info("%s answers as the Python model does", path)
    return str(path)


if __name__ == "__main__":
    program.run(main, Config)
