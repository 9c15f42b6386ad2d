"""What doctor finds in runs of the causal language model."""

import pytest

from roots_tf.diagnosis import diagnosis
from tests.diagnosis.test_diagnosis import MANIFEST, run

CAUSAL = {"objective": "causal_lm", "max_seq_length": 128}
HEALTHY = {"causal_lm_loss": lambda step: 6.1 - step / 4000, "causal_lm_accuracy": 0.3}


@pytest.mark.parametrize("name, severity, changes", [
    ("unigram_plateau", "serious", {"held_out": {"causal_lm_loss": 6.4}}),
    ("too_good", "serious", {"held_out": {"causal_lm_loss": 0.3}}),
    ("short_records", "notice", {"settings": CAUSAL | {"max_seq_length": 512}}),
    ("many_epochs", "notice", {"manifest": {
        "layout": "contiguous",
        "splits": MANIFEST["splits"] | {"train": {"examples": 10_000, "tokens": 1_000_000}},
    }}),
])  # fmt: skip
def test_each_finding_by_itself(name, severity, changes):
    base = {"settings": CAUSAL, "held_out": HEALTHY, "manifest": {
        "layout": "contiguous",
        "splits": MANIFEST["splits"] | {"train": {"examples": 10**7, "tokens": 10**9}},
    }}  # fmt: skip
    assert [f.name for f in diagnosis.diagnose(run(**base))] == ["healthy"]
    found = diagnosis.diagnose(run(**base | changes))
    assert [(f.name, f.severity) for f in found] == [(name, severity)]


def test_the_main_numbers_are_those_of_the_objective():
    numbers = diagnosis.main_numbers(run(settings=CAUSAL, held_out=HEALTHY))
    assert numbers["held_out_causal_lm_loss"] == pytest.approx(3.6)
    assert numbers["held_out_causal_lm_accuracy"] == 0.3
