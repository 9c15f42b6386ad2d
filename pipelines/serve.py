"""Serve an exported model over HTTP, with the REST API of TensorFlow Serving.

    roots serve --model=work/served
    curl -d '{"instances": ["A fine text."]}' localhost:8501/v1/models/served:predict

Loading takes ten seconds, and a first computation of each signature, the warm-up, as long as the
model does; then `localhost:8501/healthz` answers 200. Serves the highest version in the folder, as
export writes it, until SIGTERM or Ctrl-C; then it answers what has come, and exits (a second one
ends it at once). Requests that come together are computed together. `/v1/models/NAME/metadata`
tells the signatures, `/monitoring/prometheus/metrics` requests, latencies, batches and memory.
A graph that may do more than compute, such as write a file, is refused without `--trust`.

What `export --format=onnx` and `--format=litert` wrote is served alike, by the runtime of that
file: requests and answers are the same. For single texts ONNX Runtime is the fastest.

Needs the extra `serving`, and for ONNX the extra `onnx`. There is no encryption and no password:
what faces the world is a proxy.
"""

import asyncio
import dataclasses
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import program
from roots_tf.storage import files, neighbours

_LIMITS = (  # flags that are the server's as they are
    *("max_batch_size", "max_queue", "max_streams", "max_body_bytes", "max_text_bytes"),
    *("max_answer_bytes", "max_memory_bytes", "idle_seconds"),
)
# The file of each runtime beside TensorFlow's, the first that is looked for first.
FILES = {"onnx": "model.onnx", "litert": "model.tflite"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `serve`."""

    model: str = program.flag(
        help="folder that export wrote: of a SavedModel's versions, or of a file of LiteRT or ONNX",
        role="input",
    )
    runtime: Literal["tensorflow", "litert", "onnx"] | None = program.flag(
        None, help="what computes; not given: what the folder is for, ONNX first"
    )
    name: str = program.flag("", help="name of the model in URLs; none: the folder's name")
    host: str = program.flag("127.0.0.1", help="address to listen at; 0.0.0.0: every one")
    port: int = program.flag(
        8501, help="port to listen at; 0: one that is free", minimum=0, maximum=65_535
    )
    max_batch_size: int = program.flag(32, help="rows computed at once", **program.ROWS)
    batch_timeout_ms: float = program.flag(
        2.0,
        help="milliseconds a request waits for others, where the last batch held several",
        minimum=0,
        maximum=60_000,
    )
    max_queue: int = program.flag(
        1024, help="rows that may wait; beyond, requests get 503", minimum=1, maximum=10**9
    )
    max_streams: int = program.flag(
        32,
        help="texts made token by token at a time; beyond, requests get 503",
        minimum=1,
        maximum=1_000_000,
    )
    max_body_bytes: int = program.flag(
        1 << 20, help="bytes of a request; beyond, it gets 413", minimum=1, maximum=1 << 40
    )
    max_text_bytes: int = program.flag(
        100_000, help="bytes of a text; beyond, it gets 400", minimum=1, maximum=1 << 40
    )
    max_answer_bytes: int = program.flag(
        64 << 20,
        help="bytes of an answer; beyond, the request gets 413",
        minimum=1,
        maximum=1 << 40,
    )
    max_memory_bytes: int = program.flag(
        1 << 30,
        help="bytes that all requests and answers take, beside the model; beyond, they get 503",
        minimum=1,
        maximum=1 << 45,
    )
    max_connections: int = program.flag(
        1000,
        help="connections at a time; beyond, the one idle longest is closed",
        minimum=1,
        maximum=1_000_000,
    )
    idle_seconds: float = program.flag(
        75.0, help="seconds that a connection may be idle", minimum=0.1, maximum=86_400
    )
    trust: bool = program.flag(
        False, help="load the model whatever its graph may do: read and write files, run code"
    )


@program.takes_urls
def main(config: Config) -> None:
    """Serves until it is told to stop."""
    program.check(config)
    # So much does the server set aside for the largest request and the largest answer.
    least = 24 * config.max_body_bytes + 2 * config.max_answer_bytes
    if config.max_memory_bytes < least:
        raise files.InputError(
            "number-out-of-range",
            f"found --max_memory_bytes={config.max_memory_bytes}; wanted {least} or more, with "
            "these --max_body_bytes and --max_answer_bytes",
        )
    runtime = runtime_of(config)
    try:
        from roots_tf.serving import connections, logs, server

        if runtime == "onnx":
            import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        extra = "onnx" if (error.name or "").startswith("onnx") else "serving"
        raise files.InputError(
            "missing-extra",
            f"found no package {error.name}, which serving needs; wanted the extra: "
            f"pip install 'roots-tf[{extra}]'",
        ) from error
    # A port that is taken shows before the model is loaded, which takes long.
    with server.listen(config.host, config.port) as listener:
        model = load(config, runtime)
        limits = server.Limits(
            batch_timeout=config.batch_timeout_ms / 1000,
            max_connections=connections.room_for(config.max_connections),
            **{name: getattr(config, name) for name in _LIMITS},
        )
        host, port = listener.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        logging.info("serving at http://%s:%d/v1/models/%s", host, port, model.name)
        with logs.limited():
            asyncio.run(server.Server(model, limits).run(listener))


def runtime_of(config: Config) -> str:
    """What computes: as `--runtime` says, or what the folder is for.

    Args:
        config: of the program.

    Raises:
        InputError: the folder is not there, or holds nothing for that runtime.
    """
    folder = Path(config.model)
    if not folder.is_dir():
        raise files.InputError(
            "not-a-model",
            f"found no version of a model in {folder}; wanted a folder that export wrote, "
            "with the folder 1 in it",
        )
    there = [name for name, file in FILES.items() if (folder / file).exists()]
    runtime = config.runtime or (there or ["tensorflow"])[0]
    if runtime in FILES and runtime not in there:
        raise files.InputError(
            "wrong-folder",
            f"found no {FILES[runtime]} in {folder}, and --runtime={runtime}; wanted a folder that "
            f"export --format={runtime} wrote{neighbours.instead(folder, FILES[runtime])}",
        )
    return runtime


def load(config: Config, runtime: str):
    """The model to serve, a `roots_tf.serving.model.Model`.

    Args:
        config: of the program.
        runtime: as `runtime_of` gives it.
    """
    from roots_tf.serving import model

    if runtime == "tensorflow":
        return model.Model(config.model, config.name, config.trust)
    from roots_tf.export import row_folder, served_rows

    format_ = row_folder.ONNX if runtime == "onnx" else row_folder.LITERT
    served = served_rows.load(config.model, format_)
    return model.ModelOfFunctions(config.model, served.signatures(), config.name)


if __name__ == "__main__":
    program.run(main, Config)
