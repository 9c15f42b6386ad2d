"""What the hub's library raises, as one line for the user; it names no URL and no token.

A URL that the hub redirects to holds a signature, by which anybody could read the file for an hour.
"""

import contextlib
import errno
import logging as python_logging
import time
from collections.abc import Callable, Iterator

from absl import logging
from huggingface_hub import constants, errors
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from huggingface_hub.utils import logging as hub_logging

from roots_tf.storage import files
from roots_tf.storage.files import InputError

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before a request is made again
_LONGEST_WAIT = 60.0
# Of HTTP: too slow, too many, and what a server or the one before it answers when it is down.
_PASSING = (408, 429, 500, 502, 503, 504)
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP)
_OF_REQUESTS = ("httpx", "httpx2", "httpcore", "httpcore2")  # they log each with its URL
_OF_XET = ("hf_xet", "/xet-write-token/", "/xet-read-token/")  # its module, and what it asks for
_ODD = {"FileMetadataError", "JSONDecodeError", "KeyError", "AssertionError"}  # of no hub
_NETWORK = {"TransportError", "ConnectionError", "TimeoutException", *_ODD}
_LOGIN = "`hf auth login` or HF_TOKEN gives one"


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Has the hub's library say nothing by itself: neither bars, nor log lines that hold URLs."""
    had_bars, level = not are_progress_bars_disabled(), hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    loggers = [python_logging.getLogger(name) for name in _OF_REQUESTS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(python_logging.ERROR)
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:  # else the user's environment has said it
        disable_progress_bars()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)
        if had_bars and constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
            enable_progress_bars()


def patiently(name: str, do: Callable, revision: str = "", *, sends: bool = False):
    """What a function returns that asks the hub, which is asked again where that may help.

    Args:
        name: of the repository.
        do: the function.
        revision: that was asked for; "" is the default branch.
        sends: whether it sends a model, and does not fetch one.

    Raises:
        InputError: as `told` says it.
    """
    waits = list(WAITS)
    while True:
        try:
            return do()
        except InputError:
            raise
        except Exception as error:
            asked_to_wait = _seconds_to_wait(error)
            if not waits or asked_to_wait is None:
                raise told(error, name, revision, sends=sends) from None
            wait = min(max(waits.pop(0), asked_to_wait), _LONGEST_WAIT)
            logging.warning("%s: %s; again in %g s", name, _reason(error), wait)
            time.sleep(wait)


def told(error: Exception, name: str, revision: str = "", *, sends: bool = False) -> Exception:
    """The error for the user that one of the hub's library stands for; another is its own.

    Args:
        error: that was raised.
        name: of the repository.
        revision: that was asked for.
        sends: as for `patiently`.
    """
    chain = list(_chain(error))
    kinds = {kind.__name__ for each in chain for kind in type(each).__mro__}
    status = next(filter(None, map(_status, chain)), None)
    if "GatedRepoError" in kinds:
        return InputError(
            "hub-refuses",
            f"found {name} gated; wanted access: accept its terms on {_page(name)}, with the "
            f"account of your token ({_LOGIN}), then run the same command again",
        )
    if "RevisionNotFoundError" in kinds:
        return InputError(
            "not-on-hub",
            f"found no revision {revision!r} of {name}; wanted a branch, a tag or a commit of "
            f"{_page(name)}: leave --revision out for the default branch",
        )
    if "DisabledRepoError" in kinds:
        return InputError(
            "not-on-hub", f"found {name} disabled by its authors; wanted a model that is there"
        )
    if status == 401 and "RepositoryNotFoundError" not in kinds:
        return InputError(
            "hub-refuses",
            f"found a token that the hub does not know; wanted one that is valid: {_LOGIN}",
        )
    if "RepositoryNotFoundError" in kinds or status in (401, 404):
        return InputError(
            "not-on-hub",
            f"found no repository {name} on {_host()}; wanted the name of one, or, of a private "
            f"one, a token that may read it: {_LOGIN}",
        )
    if status == 403:
        return InputError(
            "hub-refuses",
            f"found that your token may not do that in {name}; wanted one with the right to: "
            f"{_LOGIN}",
        )
    return _of_machine(error, name, chain) or _of_network(error, name, sends) or error


def _of_machine(error: Exception, name: str, chain: list) -> InputError | None:
    """What to say of a cache that takes nothing; None of another error."""
    if full := files.full_disk(error):
        return InputError(
            "no-room",
            f"could not fetch {name} to {constants.HF_HUB_CACHE}: {full}; make room, or name "
            "another cache in HF_HOME",
        )
    if blocked := next((e for e in chain if getattr(e, "errno", None) in _NO_PLACE), None):
        return InputError(
            "cannot-write",
            f"could not write in the cache {constants.HF_HUB_CACHE}: {blocked.strerror}; name "
            "another one in HF_HOME",
        )
    return None


def _of_network(error: Exception, name: str, sends: bool) -> InputError | None:
    """What to say of a hub that cannot be reached; None of another error."""
    chain = list(_chain(error))
    kinds = {kind.__name__ for each in chain for kind in type(each).__mro__}
    if any(word in f"{type(each).__module__} {each}" for each in chain for word in _OF_XET):
        why, what = "its Xet storage is not to be had", "set HF_HUB_DISABLE_XET=1 for plain HTTP"
    elif "OfflineModeIsEnabled" in kinds:
        why, what = "HF_HUB_OFFLINE is set", "unset it once"
    elif any(map(_status, chain)) or kinds & _NETWORK or "Consistency check" in str(error):
        why, what = _reason(error), "run the same command again"
    elif kinds & {"LocalEntryNotFoundError", "CachedRepoTreeNotFoundError"}:
        why, what = "no network", "run the same command where there is one"
    else:
        return None
    if sends:
        found, wanted = f"found {_host()} not to be reached for {name} ({why})", "a way there"
    else:
        found = (
            f"found {name} not whole in the cache {constants.HF_HUB_CACHE}, and {_host()} not to "
            f"be reached ({why})"
        )
        wanted = "one of the two"
    return InputError("hub-unreachable", f"{found}; wanted {wanted}: {what}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The status of HTTP that an error is about."""
    return error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None


def _seconds_to_wait(error: Exception) -> float | None:
    """How long the hub asks to wait, 0 where it does not say; None where waiting is of no use."""
    for each in _chain(error):
        if _status(each) in _PASSING:
            asked = each.response.headers.get("Retry-After", "")
            return float(asked) if asked.isdecimal() else 0.0
    return 0.0 if "Consistency check" in str(error) else None


def _reason(error: Exception) -> str:
    """Why the hub could not be asked, in a few words."""
    for each in _chain(error):
        if status := _status(each):
            return f"it answered {status}"
    last = list(_chain(error))[-1]
    names = [kind.__name__ for each in _chain(error) for kind in type(each).__mro__]
    if "Consistency check" in str(error):
        return "a file broke off"
    if "TimeoutException" in names:
        return "no answer in time"
    if "RemoteProtocolError" in names or "ReadError" in names:
        return "the connection broke off"
    if _ODD & set(names):
        return "its answers are not those of a hub"
    words = getattr(last, "strerror", None)  # its text might hold a URL
    return str(words or type(last).__name__)


def _host() -> str:
    """The hub that is asked, without a name and password that its URL may hold."""
    return constants.ENDPOINT.rpartition("://")[2].rpartition("@")[2]


def _page(name: str) -> str:
    return f"{_host()}/{name}"
