"""The verdict on two versions' turns; the turns themselves take minutes of an idle machine."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import regressions
from roots_tf.storage.files import InputError


@pytest.mark.parametrize(
    ("base", "now", "slower"),
    [
        ([10.0, 10.1, 10.2], [11.0, 11.1, 11.2], True),  # a tenth, each within two hundredths
        ([10.0, 10.1, 12.0], [11.0, 11.1, 11.2], False),  # one turn differs by more than that
        ([10.0, 10.1, 10.2], [11.0, 11.1, 14.0], False),
        ([10.0, 10.0, 10.0], [10.2, 10.2, 10.2], False),  # below the tolerance
        ([10.0, 10.1, 10.2], [9.0, 9.1, 9.2], False),
    ],
)
def test_what_is_beyond_both_ranges_and_the_tolerance_is_slower(base, now, slower):
    found = regressions.compare(base, now, 0.03)
    assert found["slower"] is slower
    assert found["ratio"] == pytest.approx(sorted(now)[1] / sorted(base)[1])


@given(st.lists(st.floats(0.01, 1e3), min_size=2, max_size=7), st.floats(0, 1))
def test_a_version_is_not_slower_than_itself(turns, tolerance):
    assert not regressions.compare(turns, turns, tolerance)["slower"]


def test_turns_change_their_order_and_all_are_kept():
    asked = []

    def figure(version, turn):
        asked.append((version, turn))
        return 2.0 if version == "b" else 1.0

    config = regressions.Config(rounds=2)
    row = regressions.take_turns(config, {"base": "a", "now": "b"}, "step", ("ms", figure))
    assert asked == [("b", 0), ("a", 0), ("a", 1), ("b", 1)]
    assert row["turns"] == {"base": [1.0, 1.0], "now": [2.0, 2.0]}
    assert (row["name"], row["unit"], row["ratio"], row["slower"]) == ("step", "ms", 2.0, True)


def test_a_commit_that_is_not_there_is_one_line():
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.regressions", "--base=no-such-commit"],
        capture_output=True,
        text=True,
        cwd=regressions.ROOT,
    )
    assert found.returncode == 2 and "no-such-commit" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_figure_that_there_is_not_is_refused_before_a_wheel_is_built():
    with pytest.raises(InputError, match="--only=serving; .*step, tiny.*served"):
        regressions.main(regressions.Config(only=("step", "serving")))


def test_measures_are_the_figures_that_are_named(tmp_path):
    found = regressions.make_measures(regressions.Config(), tmp_path, tmp_path / "text.txt")
    assert tuple(found) == regressions.FIGURES
    few = regressions.Config(only=("step",))
    found = regressions.make_measures(few, tmp_path, tmp_path / "text.txt")
    assert tuple(found) == ("step, tiny", "step, causal")


def test_a_version_is_that_of_its_folder_and_not_of_this_environment(tmp_path):
    work, package = tmp_path / "work", tmp_path / "site/roots_tf"
    work.mkdir()
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("named = 'of the folder'\n", "utf-8")
    version = regressions.Version(tmp_path / "site", work)
    version.python("-c", "import roots_tf; assert roots_tf.named == 'of the folder'")
    (package / "__init__.py").write_text("named = 'of another'\n", "utf-8")
    with pytest.raises(InputError, match="AssertionError"):
        version.python("-c", "import roots_tf; assert roots_tf.named == 'of the folder'")


def test_a_command_that_fails_is_named_with_what_it_said():
    with pytest.raises(InputError, match="(?s)status 3.*no luck"):
        regressions.finish(
            [sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"]
        )
