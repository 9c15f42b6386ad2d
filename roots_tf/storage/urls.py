"""Stores behind URLs: which there are, their file systems, and calls that are tried again.

    s3://bucket/key                    Amazon S3 and what speaks its API
    gs://bucket/key                    Google Cloud Storage
    hf://datasets/OWNER/NAME/file      Hugging Face's hub
    https://host/file                  any web server, one file a URL

Credentials come from where each store's own tools take them (docs/stores.md). They never stand in a
URL, and no message holds them.
"""

import asyncio
import errno
import importlib
import os
import random
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from logging import getLogger
from pathlib import Path
from typing import NamedTuple, TypeVar

from absl import logging

from roots_tf.storage.input_error import InputError, shown

Result = TypeVar("Result")
CONNECT_SECONDS, READ_SECONDS = 10, 60  # of a connection; of a socket from which nothing comes
# Waits of 0 to .25, .5, 1, 2, 4 and 8 seconds: "full jitter" of M. Brooker, "Exponential Backoff
# And Jitter" (AWS Architecture Blog, 2015), by which clients of one store spread out.
TRIES, FIRST_WAIT, LONGEST_WAIT = 7, 0.25, 8.0


class Scheme(NamedTuple):
    """What stands behind the first word of a URL.

    Attributes:
        protocol: of fsspec.
        extra: of this package that brings the library; "": it is there anyway.
        library: module that the protocol needs.
        is_web: whether a URL is one file, with what follows "?" a part of the address.
    """

    protocol: str
    extra: str
    library: str
    is_web: bool = False


SCHEMES = {
    "s3": Scheme("s3", "s3", "s3fs"),
    "gs": Scheme("gs", "gcs", "gcsfs"),
    "hf": Scheme("hf", "", "huggingface_hub"),
    "https": Scheme("https", "https", "aiohttp", is_web=True),
    "http": Scheme("http", "https", "aiohttp", is_web=True),
}

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_MODEL = re.compile(r"hf://(?!datasets/|spaces/)[^/]+(/[^/]+)?/?")  # owner/name, or name
# Names of errors of the stores' libraries, which are not imported to look at an error.
_NO_CREDENTIALS = re.compile(r"NoCredentials|DefaultCredentials|PartialCredentials|RefreshError")
_LIBRARIES = (
    "aiohttp",
    "aiobotocore",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "httpx",
    "httpcore",
)
_LIBRARIES += ("huggingface_hub", "requests", "s3fs", "urllib3")
# How botocore and aiohttp wrap a status and what it means.
_WRAPPED = re.compile(
    r"An error occurred \((\w+)\) when calling the \w+ operation: (.+)"
    r"|(\d+), message=\W(.+?)\W, url=.*"
)
_PASSING = {408, 425, 429}  # statuses that may be others a moment later, as all of 500 and above
# Of the local disk.
_FINAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EISDIR, errno.ENOTDIR)


def is_url(text: str | os.PathLike) -> bool:
    """Whether a text is a URL of a store that is known, and no local path.

    A model of the hub is neither: `import` makes a folder of it.

    >>> is_url("s3://bucket/a.txt"), is_url("a.txt"), is_url("hf://google-bert/bert-base-uncased")
    (True, False, False)
    """
    text = os.fspath(text) if isinstance(text, str | os.PathLike) else ""
    match = _SCHEME.match(text)
    return bool(match) and match[1].lower() in SCHEMES and not is_model(text)


def is_model(text: str) -> bool:
    """Whether a text is the name of a model of the hub, `hf://OWNER/NAME`."""
    return bool(_MODEL.fullmatch(text))


def is_foreign(name: str) -> bool:
    """Whether a name looks like a URL, and is of no store that is known.

    >>> is_foreign("file:///a.txt"), is_foreign("s3:/bucket/a"), is_foreign("s3://bucket/a")
    (True, True, False)
    """
    is_odd = _SCHEME.match(name) or name.partition(":/")[0].lower() in SCHEMES
    return bool(is_odd) and not is_url(name) and not is_model(name)


def scheme_of(url: str) -> Scheme:
    """The row of `SCHEMES` of a `url`."""
    return SCHEMES[_SCHEME.match(url)[1].lower()]


def split(url: str) -> tuple[str, str]:
    """A URL's folder and the name of the file in it; of a folder the name of the folder.

    >>> split("s3://bucket/a/b.txt"), split("s3://bucket/")
    (('s3://bucket/a', 'b.txt'), ('s3://bucket', ''))
    """
    start, _, rest = plain(url).rstrip("/").partition("://")
    folder, _, name = rest.rpartition("/")
    return (f"{start}://{folder}", name) if folder else (f"{start}://{rest}", "")


def join(url: str, *names: str) -> str:
    """A URL below another one.

    >>> join("s3://bucket/run/", "model", "model.json")
    's3://bucket/run/model/model.json'
    """
    return "/".join([url.rstrip("/"), *(name.strip("/") for name in names)])


def below(folder: str | os.PathLike, *names: str) -> str | Path:
    """A file in a folder, local or behind a URL.

    Args:
        folder: a path or a URL.
        *names: of folders in it, and of the file.
    """
    return join(folder, *names) if is_url(folder) else Path(folder, *names)


def plain(url: str) -> str:
    """A URL without what follows "?" or "#", where these are no part of the file's name."""
    return re.split(r"[?#]", url, maxsplit=1)[0] if scheme_of(url).is_web else url


def name_of(path: str | os.PathLike) -> str:
    """The last part of a local path or of a URL.

    >>> name_of("novels/emma.txt"), name_of("https://host/emma.txt?signature=0a1b")
    ('emma.txt', 'emma.txt')
    """
    path = os.fspath(path)
    return split(path)[1] if is_url(path) else os.path.basename(path)


def filesystem(url: str):
    """The fsspec file system of a URL; one a process and store.

    Args:
        url: of any file in the store.

    Raises:
        InputError: the library is not installed, or the URL holds a password or large letters where
            libraries know small ones alone.
    """
    scheme = scheme_of(url)
    start, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if start != start.lower():
        raise InputError(
            "wrong-value", f"found {shown(url)}; wanted {start.lower()}:// in small letters"
        )
    if not host:
        raise InputError("wrong-value", f"found {url} alone; wanted a bucket after it")
    # A repository of the hub may have a revision, `hf://datasets/owner/name@main/file`.
    if "@" in host:
        raise InputError(
            "wrong-value",
            f"found a user or a password in {shown(url)}; wanted a URL without: credentials come "
            "from environment variables or the files of the store's own tools",
        )
    try:
        importlib.import_module(scheme.library)
        import fsspec
    except ImportError as error:
        extra = f"pip install 'roots-tf[{scheme.extra}]'" if scheme.extra else "install it"
        raise InputError(
            "missing-extra", f"found no library {error.name}, which {shown(url)} wants: {extra}"
        ) from error
    try:
        return _tuned(fsspec.filesystem(scheme.protocol, **_options(url, scheme)))
    except Exception as error:
        if problem := _problem(error, url):
            raise problem from error
        raise


def _options(url: str, scheme: Scheme) -> dict:
    """What a file system is made with: its timeouts, and no memory of what folders held."""
    if scheme.protocol == "s3":
        getLogger("aiobotocore.credentials").setLevel("WARNING")  # where it has found them
        timeouts = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        config = timeouts | {"retries": {"total_max_attempts": 1}}
        # Where neither is set, the files of AWS's own tools say it.
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        endpoint = next(filter(None, map(os.environ.get, names)), None)
        return {"endpoint_url": endpoint, "config_kwargs": config, "use_listings_cache": False}
    if scheme.protocol == "gs":
        getLogger("gcsfs").setLevel("CRITICAL")  # it writes tracebacks of what is tried again
        return {"requests_timeout": READ_SECONDS, "use_listings_cache": False}
    if scheme.is_web:
        import aiohttp

        timeout = aiohttp.ClientTimeout(None, None, READ_SECONDS, CONNECT_SECONDS)
        kwargs = {"timeout": timeout, "trust_env": True}  # HTTPS_PROXY
        return {"client_kwargs": kwargs, "encoded": "%" in url, "use_listings_cache": False}
    return {"endpoint": os.environ.get("HF_ENDPOINT"), "use_listings_cache": False}


def _tuned(filesystem):
    """Without tries of its own, which would multiply with those of `attempts`."""
    if hasattr(type(filesystem), "retries"):
        filesystem.retries = 1
    return filesystem


def attempts(call: Callable[[], Result], url: str) -> Result:
    """What a call of a store gives; the call is made again after what may pass.

    Errors of servers (5xx), throttling, timeouts and connections that are cut are tried again with
    growing waits; what is missing or forbidden is not.

    Args:
        call: of no arguments, which may be made several times.
        url: that it is about, for messages.

    Raises:
        InputError: it cannot be had, or not after `TRIES` tries.
    """
    for wait in _waits():
        try:
            return call()
        except InputError:
            raise
        except Exception as error:
            if problem := _problem(error, url):
                raise problem from error
            if not _may_pass(error):
                raise
            if wait is None:
                raise InputError(
                    "store-unreachable",
                    f"could not reach {shown(url)} in {TRIES} tries, the last of which gave: "
                    f"{_reason(error)}; wanted an answer: look after the network and the address "
                    "of the store, then run the same command again",
                ) from error
            logging.debug("trying %s again after: %s", shown(url), _reason(error))
            time.sleep(wait)
    raise AssertionError("the last wait is None")


def if_there(call: Callable[[], Result], url: str) -> Result | None:
    """What a call of a store gives, made as by `attempts`; None where there is nothing.

    Args:
        call: of no arguments, which may be made several times.
        url: that it is about, for messages.

    Raises:
        InputError: whether it is there cannot be told: the store refuses, or cannot be reached.
    """
    try:
        return attempts(call, url)
    except InputError as error:
        if error.id != "no-such-file":
            raise
        return None


def _waits() -> Iterator[float | None]:
    """Seconds to wait after each try that fails; None after the last."""
    for number in range(TRIES - 1):
        yield random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**number))
    yield None


def _problem(error: Exception, url: str) -> InputError | None:
    """What to tell the user of an error that stays as it is; None of one that may pass."""
    chain, status = _chain(error), _status(error)
    if any(_NO_CREDENTIALS.search(type(each).__name__) for each in chain):
        return InputError(
            "store-refused",
            f"found no credentials for {shown(url)}; wanted those of the store in its environment "
            "variables or files, see docs/stores.md",
        )
    is_local = getattr(error, "errno", None) is not None  # a folder here that may not be written
    refused = status is None and isinstance(error, PermissionError) and not is_local
    if status in (401, 403) or refused:
        return InputError(
            "store-refused",
            f"{shown(url)} was refused ({_reason(error)}); wanted credentials that may do this: "
            "look after their policy, the clock of this machine and the spelling of the URL",
        )
    if any(type(each).__name__ == "ParamValidationError" for each in chain):  # of no request
        why = str(error).strip().splitlines()[-1].partition(": ")[0]  # patterns follow
        return InputError(
            "wrong-value",
            f"found {shown(url)}, which no store can have ({shown(why)}); wanted the name of a "
            "bucket and of what is in it: mend the name",
        )
    # A library may say "not found" of whatever went wrong; then it says why below.
    missing = isinstance(error, FileNotFoundError) and not any(map(_is_of_library, chain[1:]))
    if status == 404 or (status is None and missing):
        return InputError(
            "no-such-file",
            f"found nothing at {shown(url)}{_why_missing(error)}; wanted a file or folder that is "
            "there: mend bucket or name",
        )
    if status and 400 <= status < 500 and status not in _PASSING:
        return InputError(
            "store-refused",
            f"{shown(url)} was refused with status {status} ({_reason(error)}); wanted a request "
            "that the store takes: look after its address and region",
        )
    return None


def _may_pass(error: Exception) -> bool:
    """Whether an error is one of a network or a server, and no bug or full disk here."""
    if isinstance(error, OSError) and error.errno in _FINAL and not _status(error):
        return False
    may = isinstance(error, OSError | EOFError | asyncio.TimeoutError | TimeoutError)
    return may or any(map(_is_of_library, _chain(error)))


def _is_of_library(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0].rstrip("0123456789") in _LIBRARIES


def _why_missing(error: Exception) -> str:
    """What a store says beyond that nothing is there, such as that there is no such bucket."""
    reason = _reason(error)
    return f" ({reason})" if " " in reason and "/" not in reason else ""


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that it came from, itself first."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _status(error: Exception) -> int | None:
    """The HTTP status that an error tells of, if it does."""
    for each in _chain(error):
        if type(each).__module__ == "aiohttp.http_exceptions":
            continue  # of an answer that was cut, it says 400 without any server's having said so
        answer = getattr(each, "response", None)
        about = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
        names = (name for name in ("status", "status_code", "code") if hasattr(each, name))
        own = next((getattr(each, name) for name in names), None)
        for found in (
            about.get("HTTPStatusCode"),
            getattr(answer, "status_code", None),
            own,
        ):
            if isinstance(found, str | int) and re.fullmatch(r"[1-5]\d\d", str(found)):
                return int(found)
    return None


def _reason(error: Exception) -> str:
    """One short line of what an error says, without secrets."""
    # Some say the URL alone, and what they came from says why.
    texts = [str(each).strip() for each in _chain(error)]
    text = next((text for text in texts if " " in text), texts[0]) or type(error).__name__
    text = _WRAPPED.sub(lambda found: " ".join(filter(None, found.groups())), text)
    text = shown(text.splitlines()[0])
    for name, value in os.environ.items():
        if len(value) > 7 and re.search(r"SECRET|TOKEN|PASSWORD|ACCESS_KEY", name):
            text = text.replace(value, "***").replace(urllib.parse.quote(value, safe=""), "***")
    return text if len(text) <= 200 else f"{text[:200]}..."
