"""Where the model of a path is: the folder itself, or that of the run which wrote it."""

import os
from pathlib import Path

from roots_tf.storage import downloads, neighbours, objects, urls
from roots_tf.storage.files import InputError


def find(path: str | Path) -> Path:
    """The model folder of a path: the path itself, or `model` in the output folder of a run.

    Args:
        path: a folder; `~` is that of the user. Or a URL of one, which is fetched.

    Raises:
        InputError: it is neither; of a run that has not finished the message says so.
    """
    if urls.is_url(path):
        model = urls.join(path, "model")
        path = downloads.local(model if objects.at(urls.join(model, "model.json")) else path)
    folder = Path(path).expanduser()
    for place in (folder, folder / "model"):
        if os.path.lexists(place / "model.json"):
            return place
    if any((folder / name).is_dir() for name in ("checkpoints", "seed_0")):
        raise InputError(
            "not-a-model",
            f"found a run in {folder} that has written no model yet; wanted one that has finished: "
            "run the same command again, and it goes on",
        )
    found = "no model.json in the folder" if folder.is_dir() else "no folder"
    raise InputError(
        "not-a-model",
        f"found {found} {folder}; wanted a model folder, such as the `model` folder that pretrain "
        "or finetune writes when it ends, or the output folder of such a run"
        f"{neighbours.instead(folder, 'model.json')}",
    )
