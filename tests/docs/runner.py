"""Runs the commands of pages in one process, at their `--debug` size, each kind once."""

import contextlib
import io
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from pipelines import pretrain
from roots_tf import commands, program
from tests.docs import stand_ins
from tests.docs.shown import Command

# Every flag is parsed and checked; with these changed, or a number, a run of --debug is no other.
NO_OTHER_RUN = {"size", "duration", "language", "prompt"}
# Programs whose --debug reads a part of what is small here already, or writes nothing.
READ_ALL = {"build-examples", "curate", "import", "merge", "train-classifier", "train-tokenizer"}
# What is larger in a page than the stand-in of a model, which has one layer.
LARGER = {"distill": {"num_layers": 1}}
# Program ("" for any), how some of its words begin, and why it is not run.
NOT_RUN = (
    ("serve", (), "it waits for requests: tests/pipelines/test_serve.py sends some"),
    ("compare", (), "it needs runs: tests/reports/test_comparison.py makes some"),
    ("", ("--report_to=",), "it needs a tracker: tests/training/test_trackers.py"),
    ("launch", (), "it starts processes: tests/pipelines/test_launch.py, tests/launching"),
    ("demo", (), "it runs other programs in processes: tests/pipelines/test_demo.py"),
    ("", ("--strategy=tpu",), "it needs a TPU"),
    ("check-device", (), "it starts processes: tests/pipelines/test_check_device.py"),
    ("", ("--strategy=multi_worker",), "it needs machines: tests/training/test_multi_worker.py"),
    ("", ("--input=s3://",), "it needs a store: tests/pipelines/test_stored_inputs.py starts one"),
    ("", ("--examples=s3://",), "it needs a store: tests/pipelines/test_stored_inputs.py"),
    ("", ("--model=s3://",), "it needs a store: tests/pipelines/test_urls.py starts one"),
    ("", ("--scheduler=",), "it needs a cluster: tests/pipelines/test_cluster.py starts one"),
    (
        "pretrain",
        ("--phases=",),
        "--debug leaves a phase its steps: tests/pipelines/test_pretrain.py",
    ),
    (
        "pretrain",
        ("--examples=zh=",),
        "8 rows of --debug are too few for three sources: tests/pipelines/test_pretrain_mixture.py",
    ),
    (
        "average",
        ("--checkpoints=work/mini/checkpoints",),
        "--debug writes one checkpoint: tests/pipelines/test_average.py",
    ),
    ("", ("--push_to=",), "it needs a hub: tests/export/test_hub_names.py has one"),
    ("import", ("--from=google-bert/",), "it needs a hub: tests/export/test_hub_names.py has one"),
    ("import", ("--from=keras_hub:",), "it needs Kaggle: tests/export/test_hub_names.py has one"),
    ("import", ("--from=uncased_",), "TensorFlow 1 wrote it: tests/export/test_tensorflow1.py"),
    (
        "export",
        ("--model=work/gpt2", "--format=keras_hub"),
        "it wants GPT-2's vocabulary: tests/export/test_keras_hub_causal.py",
    ),
    ("import", ("--from=t5-small",), "it wants a T5: tests/export/test_encoder_decoder_folders.py"),
    (
        "export",
        ("--model=work/t5_small",),
        "it wants a T5: tests/export/test_encoder_decoder_folders.py",
    ),
)


def why_not_run(command: Command) -> str:
    """Why a command is parsed and checked alone; "" if it is run."""
    for name, starts, why in NOT_RUN:
        if name in ("", command.name) and all(
            any(word.startswith(start) for word in command.arguments) for start in starts
        ):
            return why
    return ""


class Runner:
    """Commands in a folder of stand-ins.

    Args:
        root: an empty folder, which is the working directory while commands run.
    """

    def __init__(self, root: Path):
        self.root = root
        self.made: dict[tuple, Path] = {}
        stand_ins.write(root)
        (root / "out").mkdir()

    def config(self, command: Command, place: Path | None = None):
        """The config of a command that writes aside, or to a place; numbers and places are checked.

        Raises:
            FlagError: the program refuses a flag.
            InputError: it refuses a place to write, a phase or a size.
        """
        config_class = commands.load(command.name).Config
        known = program.flags_of(config_class)
        aside = self.root / "out" / str(len(list((self.root / "out").iterdir())))
        arguments = []
        for argument in command.arguments:
            name, _, value = argument.removeprefix("--").partition("=")
            if name in known and (known[name].role or "").startswith("output"):
                value = value.strip("/")
                argument = f"--{name}={place or aside / Path(value).name}"
            arguments.append(argument)
        aside.mkdir()
        config = program.read(config_class, arguments)
        program.check(config)
        if command.name == "pretrain":
            for phase in pretrain.phase_configs(config):
                program.check(phase)
            if not config.model.init_from:  # which has sizes of its own
                sizes = program.replace(config, preset=config.model.preset_for(config.objective))
                sizes.model.encoder_config(vocabulary_size=8192, length=128)
        return config

    def run(self, line: str, place: Path) -> None:
        """Makes a stand-in by a command, or by what a command of its kind has made."""
        name, *arguments = shlex.split(line)
        self(Command(name, tuple(arguments)), place)

    def __call__(self, command: Command, place: Path | None = None) -> None:
        """Runs a command, unless one of its kind was run."""
        config = self.config(command, place)
        known, values = program.flags_of(type(config)), program.flat(config)
        given = {name: value for name, value in values.items() if value != known[name].default}
        outputs = {n for n in given if (known[n].role or "").startswith("output")}
        kind = (
            command.name,
            bool(command.stdin),
            *(
                (name, str(value))
                for name, value in given.items()
                if name not in outputs | NO_OTHER_RUN
                and (command.name in READ_ALL or known[name].hint not in (int, float))
            ),
        )
        if kind not in self.made:
            for name in given:
                if known[name].role == "input":
                    value = values[name]
                    value = ",".join(value) if isinstance(value, tuple) else value
                    stand_ins.need(self.root, value, self.run)
            shrunk = {"debug": command.name not in READ_ALL} | LARGER.get(command.name, {})
            shrunk |= {"num_workers": 1} if "num_workers" in known else {}
            self._main(command, program.replace(config, **shrunk))
            self.made[kind] = next((Path(values[name]) for name in outputs), None)
        elif place:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self.made[kind])

    def _main(self, command: Command, config) -> None:
        with contextlib.chdir(self.root), piped(command.stdin):
            commands.load(command.name).main(config)


@contextlib.contextmanager
def piped(text: str) -> Iterator[None]:
    """Has programs read a text from standard input."""
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(f"{text}\n".encode()), "utf-8")
    try:
        yield
    finally:
        sys.stdin = before
