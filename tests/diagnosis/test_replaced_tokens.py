"""What doctor finds in runs of replaced-token detection."""

import pytest

from roots_tf.diagnosis import diagnosis
from tests.diagnosis.test_diagnosis import run

SETTINGS = {"objective": "replaced_tokens"}
HEALTHY = {
    "generator_loss": lambda step: 6.1 - step / 4000, "discriminator_loss": 0.2,
    "discriminator_recall": 0.4, "replaced_share": 0.09, "discriminator_precision": None,
}  # fmt: skip


@pytest.mark.parametrize("name, changes", [
    ("says_real", {"discriminator_recall": 0.0, "discriminator_loss": 0.302}),
    ("healthy", {"discriminator_recall": 0.0, "discriminator_loss": 0.29}),  # it has begun to learn
    ("unigram_plateau", {"generator_loss": 6.45}),
])  # fmt: skip
def test_each_finding_by_itself(name, changes):
    assert [f.name for f in diagnosis.diagnose(run(SETTINGS, held_out=HEALTHY))] == ["healthy"]
    found = diagnosis.diagnose(run(SETTINGS, held_out=HEALTHY | changes))
    assert [(f.name, f.severity) for f in found] == [
        (name, "healthy" if name == "healthy" else "serious")
    ]
    assert name != "says_real" or "91.0 % of the tokens are real" in found[0].why
    numbers = diagnosis.main_numbers(run(SETTINGS, held_out=HEALTHY))
    assert numbers["held_out_discriminator_recall"] == 0.4
