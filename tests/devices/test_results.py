"""Results and their report: what is bad and what is printed; comparisons find what is wrong."""

import dataclasses
import json

import numpy as np
import pytest

from roots_tf.devices import checks, results
from roots_tf.devices.checks import Asked, Known
from roots_tf.storage import files, schema

SPEED = {"rows": 8, "tokens_per_second": 1234.5, "peak_bytes": 2**30, "first_seconds": 3.0}


def report(*found: results.Result, accelerator="GPU") -> results.Report:
    bad = any(each.is_bad for each in found)
    return results.Report(1, True, not bad, accelerator, {}, {}, {}, {}, found)


@pytest.mark.parametrize(
    ("check", "status", "bad"),
    [
        ("update", "passed", False), ("update", "failed", True), ("update", "crashed", True),
        ("update", "out-of-memory", True), ("update", "out-of-time", True),
        ("update", "left-out", False), ("speed", "out-of-memory", False),
        ("speed", "out-of-time", False), ("speed", "crashed", True), ("speed", "failed", True),
        ("input", "out-of-time", False),
    ],
)  # fmt: skip
def test_what_the_program_ends_with_status_1_for(check, status, bad):
    assert results.Result(check, "", status, "said").is_bad is bad


def test_a_report_is_read_back_as_it_was_and_shows_each_result(tmp_path):
    speed = results.Result("speed", "mini, float32", "passed", "1,234 tokens/s", SPEED)
    known = dataclasses.replace(speed, numbers=SPEED | {"share_of_peak": 0.4})
    update = results.Result("update", "XLA", "failed", "found 2; wanted 1", {"x": None}, 2, ("a",))
    whole = report(speed, known, update)
    files.write_json(tmp_path / "device.json", dataclasses.asdict(whole))
    assert schema.read(tmp_path / "device.json", results.Report) == whole
    assert whole.bad == [update]
    shown = whole.table()
    assert "failed         update, XLA: found 2; wanted 1" in shown
    assert shown.count("1,234") == 2 and "40.0 %" in shown
    assert "interrupted" not in shown
    assert "interrupted" in dataclasses.replace(whole, finished=False).table()
    changed = json.loads((tmp_path / "device.json").read_text()) | {"accelerator": "abacus"}
    (tmp_path / "device.json").write_text(json.dumps(changed))
    with pytest.raises(files.InputError, match="found accelerator='abacus'"):
        schema.read(tmp_path / "device.json", results.Report)


@pytest.mark.parametrize("accelerator", ["", "GPU", "TPU"])
def test_cases_of_every_check(accelerator):
    some = [results.Result("speed", f"mini, {n}", "passed", "", SPEED | {"tokens_per_second": n})
            for n in (5.0, 7.0)]  # fmt: skip
    for debug in (False, True):
        known = Known(Asked(debug=debug), accelerator, "h100", some)
        cases = {name: check.cases(known) for name, check in checks.CHECKS.items()}
        for name, found in cases.items():
            names = [case for case, _ in found]
            assert names and len(set(names)) == len(names), name
            json.dumps([settings for _, settings in found])
        assert cases["input"][0][1]["needed"] == {"mini": 7.0}
    kinds = {(how["precision"], how["tf32"]) for _, how in cases["speed"]}
    assert all(tf32 for _, tf32 in kinds)  # as TensorFlow computes by default
    updates = {name for name, _ in checks.CHECKS["update"].cases(known._replace(asked=Asked()))}
    assert ("TensorFloat-32, XLA" in updates) == (accelerator == "GPU")
    assert ("mixed_bfloat16, XLA" in updates) == (accelerator != "TPU")
    older = checks.CHECKS["speed"].cases(Known(Asked(), accelerator, "t4", []))
    assert {how["precision"] for _, how in older} == {"float32", "mixed_float16"}


def trained(**changed):
    from roots_tf.devices.place import Trained

    rng = np.random.default_rng(0)
    same = {"losses": np.array([9.0, 8.5]), "norms": np.array([2.0, 1.8])}
    return Trained(**same | {"update": rng.normal(size=1000)} | changed)


@pytest.mark.parametrize("kind", ["float32", "TensorFloat-32", "mixed_bfloat16"])
def test_updates_that_differ(kind):
    from roots_tf.devices import update

    wanted = trained()
    assert update.compare(trained(), wanted, kind).passed
    for changed in (
        {"losses": np.array([9.0, 8.9])}, {"norms": 2 * wanted.norms},
        {"update": 1.5 * wanted.update}, {"update": -wanted.update},
        {"update": np.where(np.arange(1000) < 300, 0, wanted.update)},
        {"losses": np.array([9.0, np.nan])}, {"update": np.full(1000, np.inf)},
    ):  # fmt: skip
        found = update.compare(trained(**changed), wanted, kind)
        assert not found.passed
        assert found.said.startswith("found another update") and "wanted less: " in found.said


def test_continuations_that_differ():
    from roots_tf.devices import continuation

    logits = np.random.default_rng(0).normal(size=[1, 4, 9]).astype("float32")
    logits[0, 2, [5, 6]] = 8.0  # a tie
    wanted = logits.argmax(-1)
    assert continuation.compare(wanted, wanted, logits).numbers == {"ties": 0}
    tied = wanted.copy()
    tied[0, 2:] = 11 - wanted[0, 2], 3
    assert continuation.compare(tied, wanted, logits).numbers == {"ties": 1}
    other = wanted.copy()
    other[0, 1] = (wanted[0, 1] + 1) % 9
    assert "at place 1 of text 0" in continuation.compare(other, wanted, logits).said


def test_served_answers_that_differ():
    from roots_tf.devices import served

    wanted = [np.array([0.5, 0.5], "float32"), np.array([b"no", b"yes"])]
    assert served.compare(wanted, wanted).passed
    for other in (
        [wanted[0] + 1e-3, wanted[1]], [wanted[0], np.array([b"no", b"no"])],
        [np.array([np.nan, 0.5], "float32"), wanted[1]],
    ):  # fmt: skip
        assert not served.compare(other, wanted).passed


def test_reading_beside_steps():
    from roots_tf.devices import reading

    assert "at least 2.0 times" in reading.beside(100.0, {"mini": 50.0, "base": 5.0}).said
    assert "wait for their input: mini (400)" in reading.beside(100.0, {"mini": 400.0}).said
    assert reading.beside(100.0, {}).said == "100 tokens/s"
