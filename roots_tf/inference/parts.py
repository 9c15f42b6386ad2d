"""A file of vectors or answers in parts, so that a process that is killed goes on: beside the file.

While `notes.parquet` is made, its vectors stand in the folder `notes.parquet.parts`, a file for
some thousand texts each. The same command, run again, computes those that are missing. Once all
are there the output is made of them, under its name at once, and the folder goes.
"""

import contextlib
import io
import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from absl import logging

from roots_tf.storage import claims, files

_OTHER = {"other-run", "inputs-changed", "other-version"}  # of parts of another command
# What a user can mend without a change of the input: parts stay.
_MENDED_ELSEWHERE = {"no-room", "no-memory", "cannot-write", "unreadable-file"}


class Form:
    """What the parts of an output are, and how it is made of them."""

    suffix: str

    def write(self, path: Path, examples, results) -> None:
        """Writes a part at the `path`: some `examples` with their `results`."""
        raise NotImplementedError

    def join(self, parts: Iterable[Path], path: Path, count: int) -> None:
        """Writes the `parts`, of `count` examples together, as one file at the `path`."""
        with path.open("wb") as output:
            output.write(self.head(count))
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, output)

    def head(self, count: int) -> bytes:
        """What stands before the parts of `count` examples."""
        return b""


class Parquet(Form):
    """Texts and vectors as tables with the columns `text` and `embedding`.

    Args:
        size: numbers of a vector.
        dtype: of them.
    """

    suffix = ".parquet"

    def __init__(self, size: int, dtype: np.dtype):
        embedding = pyarrow.list_(pyarrow.from_numpy_dtype(dtype), size)
        self._schema = pyarrow.schema([("text", pyarrow.string()), ("embedding", embedding)])

    def write(self, path: Path, texts: list[str], vectors: np.ndarray) -> None:
        """Writes `texts` and `vectors` [texts, size] as a part at the `path`."""
        # JSON can spell an unpaired surrogate, which no UTF-8 can.
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        values = pyarrow.array(vectors.reshape(-1))
        embeddings = pyarrow.FixedSizeListArray.from_arrays(values, vectors.shape[1])
        table = pyarrow.table([pyarrow.array(texts), embeddings], schema=self._schema)
        pyarrow.parquet.write_table(table, path)

    def join(self, parts: Iterable[Path], path: Path, count: int) -> None:
        """Writes the `parts`, of `count` texts together, as one file at the `path`."""
        with pyarrow.parquet.ParquetWriter(path, self._schema) as writer:
            for part in parts:
                writer.write_table(pyarrow.parquet.read_table(part))


class Npy(Form):
    """Vectors as an array [texts, size]; arguments as for `Parquet`."""

    suffix = ".npy"

    def __init__(self, size: int, dtype: np.dtype):
        self._size, self._dtype = size, dtype.newbyteorder("<")

    def write(self, path: Path, texts: list[str], vectors: np.ndarray) -> None:
        """Writes `vectors` at the `path` as an array has them behind its head, and no `texts`."""
        path.write_bytes(vectors.astype(self._dtype).tobytes())

    def head(self, count: int) -> bytes:
        """The head of an array of `count` rows."""
        about = {"descr": self._dtype.str, "fortran_order": False, "shape": (count, self._size)}
        np.lib.format.write_array_header_1_0(head := io.BytesIO(), about)
        return head.getvalue()


class Lines(Form):
    """Answers as lines of text.

    Args:
        text_of: gives the lines of some answers, as one text.
    """

    suffix = ".txt"

    def __init__(self, text_of: Callable[[list], str]):
        self._text_of = text_of

    def write(self, path: Path, examples, results: list) -> None:
        """Writes the lines of `results`."""
        files.write_text(path, self._text_of(results))


def write(
    output: str,
    claim: claims.Claim,
    form: Form,
    chunks: Iterator,
    results_of: Callable,
    size_of: Callable[..., int] = len,
) -> int:
    """Writes the results of examples, from where an earlier process stopped; gives their number.

    Args:
        output: file to write.
        claim: of the run.
        form: of the file.
        chunks: the examples, such as texts, some at a time, the same each time.
        results_of: gives the results of some examples, such as vectors [texts, size].
        size_of: gives the number of examples in a chunk.

    Raises:
        InputError: another process writes this output; the folder of its parts is of another
            command; there are no examples, or what reading them raises: then no part is left.
    """
    folder = Path(f"{output}.parts")
    try:
        with claim.held(folder):
            _begin(claim, folder)
            try:
                count = _write(output, folder, form, chunks, results_of, size_of)
            except files.InputError as error:
                if error.id not in _MENDED_ELSEWHERE:
                    _clear(folder)
                raise
            _clear(folder)
            return count
    finally:
        with contextlib.suppress(OSError):  # it holds parts, or files of somebody else
            folder.rmdir()


def _write(output: str, folder: Path, form: Form, chunks, results_of, size_of) -> int:
    """Makes the parts that are missing, and the output of all; arguments and value as `write`."""
    done = sum(1 for _ in itertools.takewhile(Path.exists, _names(folder, form)))
    if done:
        logging.info("%s holds %d parts; going on behind them", folder, done)
    parts, count = 0, 0
    for chunk, part in zip(chunks, _names(folder, form), strict=False):
        if parts >= done:
            with files.atomic_path(part) as temporary:
                form.write(temporary, chunk, results_of(chunk))
        parts, count = parts + 1, count + size_of(chunk)
    if not count:
        raise files.InputError("empty-input", "found no text in --input; wanted at least one")
    with files.atomic_path(output) as temporary:
        form.join(itertools.islice(_names(folder, form), parts), temporary, count)
    return count


def _names(folder: Path, form: Form) -> Iterator[Path]:
    """Paths of the parts, in order, without end."""
    return (folder / f"part-{number:06d}{form.suffix}" for number in itertools.count())


def _begin(claim: claims.Claim, folder: Path) -> None:
    """Claims the folder; parts of another command in it may be hours of work, and stay."""
    try:
        claim.finished(folder)
    except files.InputError as error:
        if error.id not in _OTHER:
            raise
        raise files.InputError(
            error.id, f"{error}; or remove {folder}, the parts of that run, which did not end"
        ) from error
    claim.begin(folder)


def _clear(folder: Path) -> None:
    """Removes what `write` has left in the folder, and nothing else."""
    for path in (*folder.glob("part-*"), folder / claims.NAME):
        path.unlink(missing_ok=True)
