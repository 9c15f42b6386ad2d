"""Presets of keras-hub by name: its table says where each lies on Kaggle, kagglehub fetches it.

A preset is a version there, of which kagglehub keeps a folder and, once all files are in it, a mark
beside it. What broke off is continued; with the mark nothing is asked of the network.
"""

import contextlib
import io
from pathlib import Path

from absl import logging

from roots_tf import messages, spelling
from roots_tf.storage import files
from roots_tf.storage.files import InputError

_SCHEME = "kaggle://"


def fetch(preset: str) -> tuple[str, dict]:
    """Fetches a preset, or finds it in kagglehub's cache.

    Args:
        preset: name of one that keras-hub brings along, such as `"bert_tiny_en_uncased"`.

    Returns:
        The folder, in which nothing may be written, and what `model.json` says of where it is from.

    Raises:
        InputError: there is no such preset; Kaggle cannot be reached, or wants consent or a key.
    """
    handle = _handle(preset)
    folder = Path(_download(handle, preset))
    weights = sorted(folder.glob("*.h5"))
    if not weights:
        raise InputError(
            "wrong-format",
            f"found no weights (*.h5) in {handle} of Kaggle; wanted a preset of keras-hub: remove "
            f"{folder} and run the same command again",
        )
    logging.info("%s: %s of Kaggle", preset, handle)
    name, _, version = handle.rpartition("/")
    source = {"hub": "kaggle", "name": name, "revision": version, "preset": preset}
    return str(folder), source | {"sha256": {path.name: files.sha256(path) for path in weights}}


def _handle(preset: str) -> str:
    """Where a preset lies on Kaggle: owner/model/framework/variation/version."""
    import keras_hub

    known = keras_hub.models.Backbone.presets
    if preset not in known:
        meant = spelling.suggestion(preset, known) or "; keras.io/keras_hub/presets lists them"
        raise InputError(
            "not-on-hub", f"found no preset {preset} of keras-hub; wanted one that it has{meant}"
        )
    return known[preset]["kaggle_handle"].removeprefix(_SCHEME)


def _download(handle: str, preset: str) -> str:
    """The folder of a version on Kaggle."""
    import kagglehub
    import requests
    from kagglehub.exceptions import DataCorruptionError, UnauthenticatedError

    silent = messages.current().quiet or messages.current().json
    aside = contextlib.redirect_stderr(io.StringIO()) if silent else contextlib.nullcontext()
    try:
        with aside:
            return kagglehub.model_download(handle)
    except requests.HTTPError as error:  # its own errors among them
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise InputError(
                "hub-refuses",
                f"found that Kaggle wants consent or a key for {handle}; wanted both: accept its "
                "terms on kaggle.com, and give a key in KAGGLE_API_TOKEN",
            ) from None
        if status == 404:
            raise InputError(
                "not-on-hub", f"found no {handle} on Kaggle; wanted a preset that is there"
            ) from None
        raise _unreachable(preset, f"it answered {status}") from None
    except UnauthenticatedError:
        raise InputError(
            "hub-refuses",
            f"found that Kaggle wants a key for {handle}; wanted one in KAGGLE_API_TOKEN",
        ) from None
    except DataCorruptionError:
        raise InputError(
            "file-damaged",
            f"found other bytes of {handle} than Kaggle announced, and threw them away; wanted "
            "those: run the same command again",
        ) from None
    except requests.RequestException as error:
        raise _unreachable(preset, type(error).__name__) from None


def _unreachable(preset: str, why: str) -> InputError:
    from kagglehub.config import get_cache_folder

    return InputError(
        "hub-unreachable",
        f"found {preset} not whole in the cache {get_cache_folder()}, and Kaggle not to be reached "
        f"({why}); wanted one of the two: run the same command again where there is a network",
    )
