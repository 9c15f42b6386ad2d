"""`benchmark-step`: its numbers agree with one another, on random batches and on examples."""

import json

import numpy as np
import pytest

from pipelines import benchmark_step
from roots_tf import models
from roots_tf.models import flops
from roots_tf.storage.files import InputError
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
    parts = [*found["milliseconds"].values(), found["remainder_milliseconds"]]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(found["step_milliseconds"])
    assert found["flop_utilization"] <= 1
    printed = capsys.readouterr().out
    assert (folder or "random batches in memory, seed 0") in printed
    for name in ("forward", "backward", "optimizer", "input", "remainder", "tokens/s"):
        assert name in printed


def test_more_predictions_than_tokens_are_refused():
    with pytest.raises(InputError, match="found 20 predictions, 16 tokens"):
        benchmark_step.main(benchmark_step.Config(max_seq_length=16, max_predictions_per_seq=20))


def test_functions_take_turns():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in ("forward", "whole")}
    took = parts_of_step.take_turns(functions, 0.0)
    assert {name: len(seconds) for name, seconds in took.items()} == {"forward": 3, "whole": 3}
    assert order == ["forward", "whole", "whole", "forward", "forward", "whole"]


def test_a_busy_round_moves_no_part():
    took = {
        "forward": [1.0, 1.1, 9.0, 1.2, 1.1],
        "backward": [3.0, 3.2, 3.1, 3.1, 8.0],
        "optimizer": [3.5, 3.6, 3.6, 4.0, 3.5],
    }
    step = parts_of_step.breakdown(took)
    assert step.parts == pytest.approx({"forward": 1.1, "backward": 2.0, "optimizer": 0.5})
    assert (step.whole, step.remainder) == pytest.approx((3.6, 0.0))
    assert step.spread["forward"] > 2  # one of the rounds says little


@pytest.mark.parametrize("seed", range(5))
def test_parts_and_remainder_are_the_step_whatever_was_measured(seed):
    rng = np.random.default_rng(seed)
    took = {name: rng.exponential(size=7).tolist() for name in ("a", "b", "c", "d")}
    step = parts_of_step.breakdown(took)
    assert min(*step.parts.values(), step.remainder) >= 0
    assert sum(step.parts.values()) + step.remainder == pytest.approx(step.whole)
    assert step.whole == np.median(took["d"])


def test_a_causal_step_is_measured_too(tmp_path):
    output = tmp_path / "step.json"
    config = benchmark_step.Config(objective="causal_lm", debug=True, output=str(output))
    found = benchmark_step.main(config)
    sizes = models.EncoderConfig.of_size(
        "tiny", "gpt2", vocabulary_size=1000, max_sequence_length=32
    )
    assert found["config"]["preset"] == "gpt2"
    assert found["flops_per_step"] == flops.causal_step_flops(sizes, batch_size=8, length=32)
    assert found["parameters"] == models.CausalLM(sizes).count_params()
