"""Costs and efficiencies from milliseconds; the steps themselves take minutes."""

import pytest

from benchmarks import scaling
from roots_tf.storage.files import InputError


def test_costs_and_efficiencies():
    times = {
        "one_device, 1 core": 100.0,
        "one_device, 2 cores": 60.0,
        "mirrored x 1, 2 cores": 66.0,
    }
    times |= {"mirrored x 2, 2 cores": 75.0, "multi_worker x 2, 2 cores": 62.5}
    found = {c: {"clock": c.times * times[c.name], "processor": 200.0} for c in scaling.CONTENDERS}
    rows = {(row["name"], row["rows"]): row for row in scaling.figures(found, 8)}
    assert len(rows) == len(scaling.CONTENDERS)
    assert rows["one_device, 1 core", 8]["efficiency"] == 1
    assert rows["one_device, 2 cores", 8]["clock_cost"] == 1
    assert rows["mirrored x 1, 2 cores", 8]["clock_cost"] == pytest.approx(1.1)
    strong, weak = (rows["multi_worker x 2, 2 cores", count] for count in (8, 16))
    assert (strong["scaling"], weak["scaling"]) == ("strong", "weak")
    assert strong["efficiency"] == pytest.approx(0.8)  # 62.5 ms, where half of 100 would be 50
    assert weak["efficiency"] == pytest.approx(0.8)  # 125 ms of twice the rows, not 100
    assert strong["processor_cost"] == 1


def test_an_odd_batch_is_refused():
    with pytest.raises(InputError, match="even number"):
        scaling.main(scaling.Config(rows=3))
