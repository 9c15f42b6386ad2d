"""A folder with a model as one file of rows, LiteRT's or ONNX's, and all that answers need of it.

Beside the file stand the tokenizer and a JSON file that says what the model is: `model`, as
`model.json` says it, `max_seq_length`, `output`, how the file's answers differ from the model's,
and checksums of the files.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from roots_tf import models, tasks
from roots_tf.models import EncoderConfig
from roots_tf.storage import checksums, files, schema
from roots_tf.storage.schema import number


class Format(NamedTuple):
    """Names of a format's files.

    Attributes:
        file: that holds the model.
        description: the JSON file that says what it is.
    """

    file: str
    description: str


LITERT = Format("model.tflite", "litert.json")
ONNX = Format("model.onnx", "onnx.json")


@dataclasses.dataclass(frozen=True)
class ModelOfRows:
    """What a description says of the model under `model`.

    Attributes:
        kind: of `models.description.KINDS`.
        encoder: sizes of its encoder.
        task: name and fields of a kind of fine-tuning; none of a model without one.
    """

    kind: str
    encoder: EncoderConfig
    task: dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Description:
    """What is read of a description.

    Attributes:
        model: what the model is.
        output: name of the file's first output.
        max_seq_length: tokens of a row at most.
        length: tokens that each row must have; 0: any number.
        embedding: how a model without a task makes vectors.
        sha256: of each file beside it.
    """

    model: ModelOfRows
    output: str
    max_seq_length: int = number(minimum=3, maximum=1 << 20)
    length: int = number(0, minimum=0, maximum=1 << 20)
    embedding: models.EmbeddingSettings = dataclasses.field(
        default_factory=models.EmbeddingSettings
    )
    sha256: dict[str, str] = dataclasses.field(default_factory=dict)


def description(described: dict, kind, settings: models.EmbeddingSettings, length: int) -> dict:
    """What a description says of a model, whatever the format.

    Args:
        described: what `models.describe` gives for the model folder.
        kind: the `FineTuning` of the folder, or None.
        settings: of vectors of a model without a task.
        length: tokens of a row at most; 0: as in training, or as the settings say.
    """
    longest = described["encoder"].max_sequence_length
    usual = kind.max_seq_length if kind else settings.length(longest)
    length = min(length or usual, longest)
    model = {"kind": described["kind"], "encoder": dataclasses.asdict(described["encoder"])}
    if kind:
        of_kind = kind.text_settings()
        model["task"] = tasks.describe(dataclasses.replace(kind, max_seq_length=length))
    else:
        of_kind = {"embedding": dataclasses.asdict(settings)}
    return files.as_read_back({"max_seq_length": length} | of_kind | {"model": model})


def output_of(kind) -> str:
    """Name of the output of a file of rows: "embedding", "value" or "logits".

    Args:
        kind: the `FineTuning` of the model, or None.
    """
    if kind is None or kind.embedding_settings():
        return "embedding"
    return "value" if kind.answer_column == "value" else "logits"


def write(folder: str | Path, format_: Format, report: dict) -> None:
    """Writes the description of a folder, and adds the checksums of the files there to `report`.

    Args:
        folder: that holds all else already.
        format_: of the folder.
        report: what the description says.
    """
    report[checksums.KEY] = checksums.of_files(folder)
    files.write_json(Path(folder, format_.description), report)


def read(folder: str | Path, format_: Format) -> Description:
    """The description of a folder, whose files are those that were written.

    Args:
        folder: that `write` has finished.
        format_: of the folder.

    Raises:
        InputError: the description is damaged, or of an older version, or a file is another one.
    """
    path = Path(folder, format_.description)
    found = files.read_json(path)
    if isinstance(found, dict) and "model" not in found:
        raise files.InputError(
            "other-version",
            f"found no word of the model in {path}, which an older version wrote; wanted what "
            "this one writes: export the model again",
        )
    described = schema.check(found, Description, str(path), others_may_stand=True)
    checksums.check_files(folder, described.sha256, format_.description)
    return described
