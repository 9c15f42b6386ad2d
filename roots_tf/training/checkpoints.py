"""Checkpoints of explicit, named variables, so that nothing is dropped in silence.

Keras models handed to `tf.train.Checkpoint` lose layers that are held in lists; here a checkpoint
is a flat table of variables, and reading one back insists on every entry.

    ckpt-20.data-00000-of-00001    the variables
    ckpt-20.json                   checksums, score, the row under way: `checkpoint_notes`
    ckpt-20.index                  where each variable is

They are written in a hidden folder and renamed from there, the index last: TensorFlow's index names
no file, so it stays right, and a checkpoint that has an index is whole wherever a kill falls. Steps
may go on meanwhile: what is written are the values at the step of the checkpoint.
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf import heartbeat
from roots_tf.storage import files, leftovers, schema
from roots_tf.storage.files import InputError
from roots_tf.training import checkpoint_notes
from roots_tf.training.background import Background, values_now
from roots_tf.training.checkpoint_notes import Decay, Notes, WindowState
from roots_tf.training.metrics_file import Rows

_BEST = "best.json"
# What TensorFlow's reader raises of cut and of flipped bytes.
_DAMAGE = (InputError, OSError, ValueError, IndexError, RuntimeError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class _Best:
    """What `best.json` holds."""

    step: int = schema.number(minimum=0)
    score: float = schema.number()


class _Passed(NamedTuple):
    """A checkpoint that is not whole: why, and whether its variables can be read nonetheless."""

    step: int
    path: str
    why: str
    is_readable: bool


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are.
        variables: what they hold; the order and names must be the same at every start.
        keep: how many of the newest stay on disk, beside the one with the best score.
        regular: how many of the newest at multiples of how many steps stay too; multiples of 0
            steps are none.
        decay: of a run that may be made longer, where its learning rate falls. The newest
            checkpoint from before that stays; those of a decay at other steps are passed over and
            removed.
    """

    def __init__(
        self,
        folder: str | Path,
        variables: dict[str, tf.Variable],
        keep: int = 2,
        regular: tuple[int, int] = (0, 0),
        decay: Decay | None = None,
    ):
        # Slashes would be escaped; the number keeps the names apart.
        table = {
            f"{index:04d}.{name.replace('/', '.')}": variable
            for index, (name, variable) in enumerate(variables.items())
        }
        self._checkpoint = tf.train.Checkpoint(**table)
        self._table, self._background = table, Background()
        self._keys = dict(zip(variables, table, strict=True))
        self._folder, self._keep, self._regular = Path(folder), keep, regular
        self._decay = decay

    def paths(self) -> dict[int, str]:
        """Prefix of every whole checkpoint by its step, ascending."""
        paths = {}
        for index in self._folder.glob("ckpt-*.index"):
            if match := re.fullmatch(r"ckpt-(\d+)\.index", index.name):
                paths[int(match[1])] = str(index.with_suffix(""))
        return dict(sorted(paths.items()))

    def regular(self, before: int) -> list[int]:
        """Steps of the whole checkpoints at the multiples that stay, ascending.

        Args:
            before: a step that they are all before.
        """
        every = self._regular[1]
        return [step for step in self.paths() if every and step < before and not step % every]

    def fault(self, step: int) -> str:
        """What is wrong with the files of the checkpoint of a `step`; "" where nothing is."""
        why, is_readable = self._fault(step, self._prefix(step))
        return "" if is_readable else why

    def reader(self, step: int) -> Callable[[str], np.ndarray]:
        """A function that reads variables by name from the checkpoint of a `step`."""
        found = tf.train.load_checkpoint(self._prefix(step))
        # TensorFlow escapes names and adds to them; the numbers before them stay.
        keys = {key[:4]: key for key in found.get_variable_to_shape_map() if key[:4].isdigit()}
        return lambda name: found.get_tensor(keys[self._keys[name][:4]])

    def restore(self) -> int | None:
        """Reads the newest checkpoint that is not damaged into the variables; writes nothing.

        A line of the log names each one that is passed over, and says what happens instead.

        Returns:
            Its step; None where there is none: the variables are as they were.

        Raises:
            InputError: the checkpoint is whole and of another model; or all are of another decay.
        """
        astray = [step for step in self.paths() if self._is_astray(step)]
        step, passed = self._newest_whole(astray)
        self._tell_of_decay(step, astray)
        spare = next((other for other in passed if other.is_readable), None)
        if step is None and spare:
            step = spare.step
            logging.error(
                "found no whole notes of %s (%s): training goes on from it all the same, and the "
                "row under way holds the steps from here on alone",
                *(spare.path, spare.why),
            )
        path = self._prefix(step)
        instead = "training starts at step 0" if step is None else f"training goes on from {path}"
        for other in passed:
            if other.step != step:
                logging.error("%s is not whole (%s): %s", other.path, other.why, instead)
        if step is None:
            if self._folder.is_dir() and not passed:
                logging.warning("found no whole checkpoint in %s: %s", self._folder, instead)
            return None
        try:
            self._checkpoint.read(path).assert_consumed()
        except (AssertionError, *_DAMAGE) as error:
            raise InputError(
                "wrong-weights",
                f"found {path}, which is whole, of another model ({_line(error)}); wanted the "
                "model of this command: give the flags and files that the run began with, or "
                "another --output",
            ) from error
        logging.info("restored %s", path)
        return step

    def _prefix(self, step: int | None) -> str:
        return str(self._folder / f"ckpt-{step}")

    def _before_decay(self, step: int) -> bool | None:
        """Whether a checkpoint is from before the decay of its run; None where it has none."""
        notes = self.notes(step) if self._decay else None
        return notes.decay and step <= notes.decay.first_step if notes else None

    def _is_astray(self, step: int) -> bool:
        """Whether a checkpoint is of a decay at other steps than this run's."""
        return self._before_decay(step) is False and self.notes(step).decay != self._decay

    def _tell_of_decay(self, step: int | None, astray: list[int]) -> None:
        """Says where a run goes on that has become longer, once its rate had fallen.

        Args:
            step: of the checkpoint that is taken.
            astray: steps of those that are of another decay.

        Raises:
            InputError: there are no others.
        """
        if not astray:
            return
        before, last_step = self.notes(astray[-1]).decay, f"{self._decay.last_step:,}"
        if step is None:
            raise InputError(
                "file-damaged",
                f"found no whole checkpoint in {self._folder} from before the decay, which began "
                f"at step {before.first_step:,}; wanted one from which a run of {last_step} steps "
                "goes on: choose another --output, or the "
                f"{before.last_step:,} steps of this run",
            )
        logging.info(
            "the run was one of %s steps, whose decay began at step %s: training goes on from step "
            "%s, before it, to step %s",
            *(f"{n:,}" for n in (before.last_step, before.first_step, step)),
            last_step,
        )

    def _newest_whole(self, astray: list[int]) -> tuple[int | None, list[_Passed]]:
        """Step of the newest whole checkpoint, None without one, and the newer ones.

        Those of the steps `astray` are left out.
        """
        passed = []
        names = (re.match(r"ckpt-(\d+)\.", path.name) for path in self._folder.glob("ckpt-*"))
        for step in sorted({int(name[1]) for name in names if name} - set(astray), reverse=True):
            path = self._prefix(step)
            why, is_readable = self._fault(step, path)
            if not why:
                return step, passed
            passed.append(_Passed(step, path, why, is_readable))
        return None, passed

    def _fault(self, step: int, path: str) -> tuple[str, bool]:
        """What is wrong with a checkpoint, "" where nothing is; whether it can be read at all."""
        if not Path(f"{path}.index").exists():  # lost, or a kill came before it
            return f"found no {path}.index", False
        try:
            notes = checkpoint_notes.read(Path(f"{path}.json"), step)
            why = "" if notes else f"found no {path}.json"
        except InputError as error:
            notes, why = None, _line(error)
        try:
            if notes and notes.files:
                checkpoint_notes.verify(notes, self._folder)
            else:
                _read_through(path)
        except _DAMAGE as error:
            return _line(error), False
        return why, True

    def notes(self, step: int) -> Notes | None:
        """What was noted beside the checkpoint of a `step`; None where that is not known."""
        try:
            return checkpoint_notes.read(self._folder / f"ckpt-{step}.json", step)
        except InputError:  # `restore` has told of it
            return None

    def best(self) -> dict | None:
        """Step and score of the best checkpoint on disk; None where no score was given."""
        notes = {step: self.notes(step) for step in self.paths()}
        scores = {step: noted and noted.score for step, noted in notes.items()}
        scored = [(score, step) for step, score in scores.items() if score is not None]
        before = self._best_of_old()
        if before and before[1] in scores and scores[before[1]] is None:
            scored.append(before)
        score, step = min(scored, default=(None, None))
        return None if step is None else {"step": step, "score": score}

    def _best_of_old(self) -> tuple[float, int] | None:
        """Score and step in `best.json`, where alone version 0.2 kept them."""
        with contextlib.suppress(InputError):
            if (self._folder / _BEST).exists():
                best = schema.read(self._folder / _BEST, _Best)
                return best.score, best.step
        return None

    def save(
        self,
        step: int,
        score: float | None = None,
        window: WindowState | None = None,
        rows: Rows | None = None,
        in_background: bool = False,
    ) -> None:
        """Writes the checkpoint of a step and removes those that are not to stay.

        Those of later steps go too: they were damaged, or this run would have gone on from them.

        Args:
            step: its number.
            score: held-out loss at this step, if known; the checkpoint of the lowest stays.
            window: the row under way.
            rows: what `metrics.jsonl` holds.
            in_background: come back before it is written; `wait` and the next `save` then raise
                what goes wrong.

        Raises:
            InputError: the disk is full or cannot be written; the checkpoints before it stand.
        """
        self.wait()
        values = values_now(self._table)
        notes = {"score": score, "window": window, "rows": rows}
        # Always on a thread, which is in the scope of no strategy that would spread the variables.
        self._background.begin(lambda: self._save(step, values, notes))
        if not in_background:
            self.wait()

    def wait(self) -> None:
        """Waits for the checkpoint that is being written.

        Raises:
            InputError: see `save`.
        """
        self._background.wait()

    def check(self) -> None:
        """Raises what went wrong with the checkpoint that was being written; waits for nothing."""
        self._background.check()

    def finished(self) -> contextlib.AbstractContextManager:
        """Context whose end waits too, also where an error ends it."""
        return self._background.finished()

    def _save(self, step: int, values: dict[str, tf.Tensor], notes: dict) -> None:
        hidden = leftovers.temporary_path(self._prefix(step))
        try:
            hidden.mkdir(parents=True)
            self._write(hidden, step, values, notes)
        except (tf.errors.OpError, OSError, InputError) as error:
            last = [path for number, path in self.paths().items() if number < step][-1:]
            raise InputError(
                "cannot-write",
                f"could not write the checkpoint of step {step}: {_line(error)}; the last good one "
                f"is {last[0] if last else 'none'}: make room, or make the folder one that can be "
                "written, then run the same command again",
            ) from error
        finally:
            leftovers.remove(hidden)
        heartbeat.saved()
        self._keep_only([number for number in self.paths() if number <= step])
        self.sweep(step)

    def _write(self, hidden: Path, step: int, values: dict[str, tf.Tensor], notes: dict) -> None:
        """Writes a checkpoint in the hidden folder, then renames its files."""
        with tf.device("/CPU:0"):
            table = {name: tf.Variable(value, name=name) for name, value in values.items()}
            tf.train.Checkpoint(**table).write(str(hidden / f"ckpt-{step}"))
        written = sorted(hidden.iterdir(), key=lambda path: path.suffix == ".index")
        for path in written:
            files.sync(path)
        beside = hidden / f"ckpt-{step}.json"
        written_of = checkpoint_notes.new(step, written, decay=self._decay, **notes)
        checkpoint_notes.write(beside, written_of)
        # A damaged one of this step is no checkpoint any more before its data are others.
        leftovers.remove(self._folder / f"ckpt-{step}.index")
        for path in (beside, *written):
            leftovers.remove(self._folder / path.name)
            path.replace(self._folder / path.name)
        files.sync(self._folder)

    def _keep_only(self, steps: list[int]) -> None:
        for number, path in self.paths().items():
            if number not in steps:
                leftovers.remove(f"{path}.index")  # first: without it the rest is no checkpoint

    def sweep(self, step: int) -> None:
        """Removes those that are not to stay and rests of others, and writes `best.json` anew.

        A kill leaves such rests, of an old checkpoint or of one that was being written. To be
        called by the one process that writes.

        Args:
            step: where the run stands; later checkpoints, which are damaged, are left to `save`.
        """
        if not self._folder.is_dir():
            return
        self._keep_only([number for number in self.paths() if not self._is_astray(number)])
        best, steps = self.best(), list(self.paths())
        reached = [number for number in steps if number <= step]
        stay = reached[-self._keep :] + [number for number in steps if number > step]
        ends = [step, *[number for number in reached if self._before_decay(number)][-1:]]
        stay += ends  # a longer run would go on from the second, and have its mean from there
        for end in ends if self._regular[0] else ():
            stay += self.regular(end + 1)[-self._regular[0] :]
        self._keep_only(stay if best is None else [*stay, best["step"]])
        leftovers.sweep(self._folder)
        whole = {Path(path).name for path in self.paths().values()}
        for piece in self._folder.glob("ckpt-*"):
            if re.match(r"ckpt-\d*", piece.name)[0] not in whole:
                leftovers.remove(piece)
        path = self._folder / _BEST
        if best is not None and best != _value(path):
            files.write_json(path, best)


def _value(path: Path):
    """What a JSON file holds; None where it is missing or none."""
    with contextlib.suppress(InputError):
        return files.read_json(path)
    return None


def _read_through(path: str) -> None:
    """Reads every tensor of a checkpoint, by which TensorFlow compares its own checksums."""
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
