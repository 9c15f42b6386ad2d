"""`benchmark-step`: its numbers agree with one another, on random batches and on examples."""

import json

import pytest

from pipelines import benchmark_step
from roots_tf import models
from roots_tf.files import InputError
from roots_tf.models import flops
from roots_tf.training import parts_of_step


@pytest.mark.parametrize("source", [pytest.param("random", marks=pytest.mark.slow), "examples"])
def test_the_numbers_agree(work, tmp_path, capsys, source):
    folder = work.examples if source == "examples" else ""
    output = tmp_path / "step.json"
    found = benchmark_step.main(
        benchmark_step.Config(debug=True, examples=folder, output=str(output))
    )
    assert json.loads(output.read_text()) == found
    sizes = models.EncoderConfig.of_size("tiny", vocabulary_size=1000, max_sequence_length=32)
    step = flops.step_flops(sizes, batch_size=8, length=32, predictions=5)
    assert (found["parameters"], found["flops_per_step"]) == (flops.parameters(sizes), step)
    seconds = found["step_milliseconds"] / 1000
    assert found["tokens_per_second"] == pytest.approx(8 * 32 / seconds)
    assert found["flops_per_second"] == pytest.approx(step / seconds)
    assert found["flop_utilization"] == pytest.approx(step / seconds / found["matmul_peak"])
    assert sum(found["milliseconds"].values()) >= found["step_milliseconds"] * 0.999
    printed = capsys.readouterr().out
    assert (folder or "random batches in memory, seed 0") in printed
    for name in ("forward", "backward", "optimizer", "input", "tokens/s"):
        assert name in printed


def test_more_predictions_than_tokens_are_refused():
    with pytest.raises(InputError, match="found 20 predictions, 16 tokens"):
        benchmark_step.main(benchmark_step.Config(max_seq_length=16, max_predictions_per_seq=20))


def test_turns_give_medians():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in ("forward", "whole")}
    assert set(parts_of_step.take_turns(functions, 0.0)) == set(functions)
    assert order == ["forward", "whole"] * 3
