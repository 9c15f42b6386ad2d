"""What `model.json` says of a model, read and checked without TensorFlow."""

import dataclasses
import os
from pathlib import Path

from roots_tf.models import weight_shapes, weights_file
from roots_tf.models.config import DecoderConfig, EncoderConfig
from roots_tf.models.kinds import is_causal
from roots_tf.storage import checksums, files, neighbours, schema
from roots_tf.storage.files import InputError

KINDS = (
    *("causal_lm", "masked_and_causal_lm", "encoder_decoder", "pretrainer", "discriminator"),
    *("encoder", "classifier", "token_classifier"),
)

OF_THE_FOLDER = (checksums.KEY, "source")  # keys that say nothing of another with the same sizes


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """What `model.json` may say.

    Attributes:
        kind: of `KINDS`.
        encoder: sizes of its encoder.
        decoder: sizes of the decoder of an encoder-decoder.
        labels: names of a classifier's classes; none where they have no names.
        num_labels: outputs of a classifier.
        pooler: whether an encoder by itself has one.
        task: name and fields of a kind of fine-tuning, which `tasks.restore` checks.
        untrained: layers of an imported model that have initial weights.
        embedding: how texts become vectors; whoever reads it checks it.
        source: where an imported model is from: hub, name, commit, SHA-256 of its weights there.
        sha256: see `roots_tf.storage.checksums`.
    """

    kind: str
    encoder: EncoderConfig
    decoder: DecoderConfig | None = None
    labels: tuple[str, ...] = ()
    num_labels: int | None = schema.number(None, minimum=1, maximum=1 << 20)
    pooler: bool | None = None
    task: dict[str, object] = dataclasses.field(default_factory=dict)
    untrained: tuple[str, ...] = ()
    embedding: object = None
    source: dict[str, object] = dataclasses.field(default_factory=dict)
    sha256: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(
                "wrong-json",
                f"found a model of kind {self.kind!r}; wanted one of {', '.join(KINDS)}",
            )
        needed = {"encoder": "pooler", "encoder_decoder": "decoder"}
        needed |= dict.fromkeys(("classifier", "token_classifier"), "num_labels")
        if (name := needed.get(self.kind)) and getattr(self, name) is None:
            raise InputError(
                "wrong-json", f"found no {name} of a model of kind {self.kind!r}; wanted it"
            )
        if self.labels and self.num_labels not in (None, len(self.labels)):
            raise InputError(
                "wrong-json",
                f"found {len(self.labels)} labels and num_labels={self.num_labels}; wanted a label "
                "for each output",
            )

    @property
    def stacks(self) -> dict[str, EncoderConfig]:
        """Sizes of the encoder, and of the decoder where there is one, by these names."""
        return {"encoder": self.encoder} | ({"decoder": self.decoder} if self.decoder else {})


def describe(folder: str | Path) -> dict:
    """What `model.json` says, with `encoder` as an `EncoderConfig`; the keys are `ModelFile`'s.

    An encoder-decoder also has `decoder`, as a `DecoderConfig`.

    The weights beside it are not read, but have the shapes that it says, so that a model of these
    sizes takes no more memory than the file does.

    Raises:
        InputError: the folder holds no model, or what it holds is damaged.
    """
    path = Path(folder, checksums.MODEL)
    if not os.path.lexists(path):
        raise InputError(
            "not-a-model",
            f"found no model.json in {folder}; wanted a model folder, such as the `model` folder "
            "that pretrain or finetune writes when it ends"
            f"{neighbours.instead(folder, checksums.MODEL)}",
        )
    description = files.read_json(path)
    model = schema.check(description, ModelFile, str(path))
    checksums.check(folder, (checksums.MODEL,))
    shapes = weight_shapes.encoder(model.encoder)
    weights_file.check(folder, shapes, "encoder/")
    if model.kind == "encoder_decoder":
        weights_file.check(folder, weight_shapes.encoder_decoder(model.encoder, model.decoder), "")
    if is_causal(description):
        weights_file.check(folder, weight_shapes.output_table(model.encoder), "head/")
    if model.num_labels:
        weights_file.check(
            folder, weight_shapes.classes(model.encoder, model.num_labels), "classes/"
        )
    return description | model.stacks


def stack_config(described: dict) -> EncoderConfig:
    """Sizes of a model's stack for another model that starts from it: causal where it was.

    Args:
        described: what `describe` gives for the folder.
    """
    config = described["encoder"]
    return dataclasses.replace(config, causal=config.causal or is_causal(described))
