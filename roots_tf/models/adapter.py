"""An adapter folder: what little was learned on top of a model, which it names by its content.

adapter.json            how it was learned, checksums of the model it began with, and what
                        `model.json` says of the two together
adapter.safetensors     the weights that were trained, by name
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from roots_tf.models.description import OF_THE_FOLDER, ModelFile
from roots_tf.models.tuning import TUNINGS, Tuning
from roots_tf.storage import checksums, files, neighbours, schema
from roots_tf.storage.files import InputError

FILE, WEIGHTS = "adapter.json", "adapter.safetensors"
_NAME = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)  # of a signature, a file and a part of a URL


@dataclasses.dataclass(frozen=True)
class AdapterFile:
    """What `adapter.json` says.

    Attributes:
        tune: a row of `TUNINGS`.
        settings: its fields.
        base: SHA-256 of the files of the model that training began with, by their names.
        model: what `model.json` says of the whole model.
        sha256: that of `adapter.safetensors`.
        source: as of `ModelFile`, of an adapter that was imported by name.
    """

    tune: str
    settings: dict[str, object]
    base: dict[str, str]
    model: dict[str, object]
    sha256: str
    source: dict[str, object] = dataclasses.field(default_factory=dict)


class Adapter:
    """An adapter folder that was read, but for its weights.

    Attributes:
        tuning: how it was learned.
        description: what `model.json` says of the whole model.
        described: the same, as `describe` would give it.

    Args:
        folder: that `save_adapter` wrote.

    Raises:
        InputError: the folder holds no adapter, or `adapter.json` is damaged.
    """

    def __init__(self, folder: str | Path):
        self.folder, path = Path(folder), Path(folder, FILE)
        if not os.path.lexists(path):
            raise InputError(
                "not-a-model",
                f"found no {FILE} in {folder}; wanted an adapter folder, such as the `adapter` "
                "folder that finetune --tune=lora writes"
                f"{neighbours.instead(folder, FILE)}",
            )
        self._said = schema.read(path, AdapterFile)
        self.description = self._said.model
        self.described = (
            self.description | schema.check(self.description, ModelFile, str(path)).stacks
        )
        if self._said.tune not in TUNINGS:
            raise InputError(
                "wrong-json",
                f"found tune={self._said.tune!r} in {path}; wanted one of {', '.join(TUNINGS)}",
            )
        way = TUNINGS[self._said.tune]
        self.tuning: Tuning = schema.check(self._said.settings, way, str(path))
        self.tuning.check()

    def check_base(self, base: str | Path) -> None:
        """Refuses another model than the adapter was trained on; `base` is the model's folder.

        Raises:
            InputError: it is another.
        """
        wanted, found = self._said.base, checksums.of_content(base)
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                one, other = (str(sums.get(name, "none"))[:8] for sums in (found, wanted))
                raise InputError(
                    "wrong-base",
                    f"found {name} of sha256 {one} in {base}; wanted {other}, the base of the "
                    f"adapter in {self.folder}: give the model folder that finetune had as "
                    "--init_from",
                )

    def weights(self) -> dict[str, np.ndarray]:
        """The weights that were trained, by name.

        Raises:
            InputError: they are missing, damaged or not finite.
        """
        path = self.folder / WEIGHTS
        if not path.is_file() or files.sha256(path) != self._said.sha256:
            raise InputError(
                "file-damaged",
                f"found no {path} as it was written there (sha256 {self._said.sha256[:8]}); copy "
                "the folder again",
            )
        try:
            found = safetensors.numpy.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(
                "file-damaged", f"could not read {path}: {error}; copy the folder again"
            ) from error
        for name, weight in found.items():
            if not np.isfinite(weight).all():
                raise InputError(
                    "diverged",
                    f"found NaN or infinite numbers in weight {name} of {path}; wanted finite "
                    "ones: train the adapter again",
                )
        return found


def of_one_base(given: Sequence[str], base: str | Path) -> dict[str, Adapter]:
    """Adapters by name, of `name=folder` each, all of one base.

    Args:
        given: names and folders.
        base: folder of the model that each was learned on.

    Raises:
        InputError: a text has another form, a name comes twice, or a folder holds no adapter, or
            one of another base.
    """
    found: dict[str, Adapter] = {}
    for text in given:
        name, _, folder = (part.strip() for part in text.partition("="))
        if not (folder and _NAME.fullmatch(name)):
            raise InputError(
                "wrong-value",
                f"found {text!r} in --adapters; wanted name=folder, the name of letters, digits, "
                "'-' and '_', such as topics=work/light/adapter",
            )
        if name in found:
            raise InputError(
                "wrong-value",
                f"found the name {name} twice in --adapters; wanted one for each adapter, by which "
                "requests ask for it",
            )
        found[name] = Adapter(folder)
        found[name].check_base(base)
    return found


def save_adapter(
    folder: str | Path,
    tune: str,
    settings: dict,
    learned: dict[str, np.ndarray],
    *,
    base: str | Path,
    description: dict,
    source: dict | None = None,
) -> None:
    """Writes an adapter folder; `adapter.json`, which makes it complete, comes last.

    Args:
        folder: where to; made if missing.
        tune: a row of `TUNINGS`.
        settings: its fields.
        learned: the weights that were trained, by name.
        base: folder of the model that training began with.
        description: what `model.json` says of the model that it ended with.
        source: of an adapter that was imported by name: see `ModelFile`.

    Raises:
        InputError: the folder cannot be written.
    """
    with files.atomic_path(Path(folder, WEIGHTS)) as temporary:
        # It writes the memory of an array as it lies, that of a transposed one too.
        contiguous = {name: np.ascontiguousarray(value) for name, value in learned.items()}
        safetensors.numpy.save_file(contiguous, temporary)
        temporary.chmod(0o644)  # as `folder.write` does
    said = AdapterFile(
        tune,
        settings,
        base=checksums.of_content(base),
        # Neither checksums nor source of the base are those of the model with the adapter.
        model={n: v for n, v in description.items() if n not in OF_THE_FOLDER},
        sha256=files.sha256(Path(folder, WEIGHTS)),
        source=source or {},
    )
    written = dataclasses.asdict(said)
    if not source:
        del written["source"]
    files.write_json(Path(folder, FILE), written)
