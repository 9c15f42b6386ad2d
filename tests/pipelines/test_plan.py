"""`plan`: its numbers, what it proposes, the command that it prints, and what it refuses."""

import json
import math
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import plan, pretrain
from roots_tf import objectives, program
from roots_tf.planning import accelerators, proposal
from roots_tf.planning.amounts import bytes_of
from roots_tf.planning.forecast import UPDATE_BYTES
from roots_tf.storage.files import InputError
from roots_tf.training import settings

T4 = {"device": ("t4",)}


def forecast(**flags) -> dict:
    return plan.main(program.make(plan.Config, **flags))


def command(found: dict) -> pretrain.Config:
    """What `pretrain` makes of the printed line."""
    words = shlex.split(found["command"])
    assert words[:2] == ["roots", "pretrain"]
    return program.read(pretrain.Config, words[2:])


def test_numbers_of_a_plain_run(capsys):
    found = forecast(
        size="base", batch_size=64, duration="1e9 tokens", tokens=5e8, device=("h100",)
    )
    work, (device,) = found["work"], found["devices"]
    assert found["model"]["parameters"] == work["parameters"] == 109_811_516
    config = objectives.MaskedLM()
    assert work["steps"] == math.ceil(1e9 / (64 * 128))
    assert work["epochs"] == pytest.approx(2, rel=1e-3)
    assert work["stored"] == pytest.approx(2 * 2 * 5e8, rel=1e-3)
    assert work["flops_a_token"] == pytest.approx(546e6, rel=0.01)  # as BUILD.md has it
    assert config.predictions(128) == 20
    seconds = work["flops_a_step"] / (0.4 * 989.4e12) + UPDATE_BYTES * 109_811_516 / 3350e9
    assert device["speed"]["seconds"] == pytest.approx(seconds)
    hours = work["steps"] * seconds / 3600
    assert device["hours"] == pytest.approx(hours)
    assert device["kilowatt_hours"] == pytest.approx(hours * 0.7)
    assert device["dollars"] == pytest.approx(hours * 6.88)
    printed = capsys.readouterr().out
    for word in ("109,811,516", "2.00 epochs", "activations", "h100", found["command"]):
        assert word in printed


def test_muon_takes_products_and_one_moment_of_a_matrix():
    flags = {"size": "base", "batch_size": 64, "duration": "10", "device": ("h100",)}
    (plain,), (muon,) = (forecast(**flags, optimizer=name)["devices"] for name in ("adamw", "muon"))
    matrices = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    assert plain["memory"]["moments"] - muon["memory"]["moments"] == 4 * matrices
    products = 12 * 5 * 2 * (4 * 3 * 768**3 + 2 * 9 * 768**3)  # [R, C] by R: R R (2 C + R)
    more = muon["speed"]["seconds"] - plain["speed"]["seconds"]
    assert more == pytest.approx(products / (0.4 * 989.4e12))


def test_flags_are_those_of_pretrain():
    known = program.flags_of(pretrain.Config)
    own = set(program.flags_of(plan.Config)) - set(known) | {"debug", "output"}
    assert own == set(plan.OWN)


def test_all_devices_and_others(tmp_path, capsys):
    path = tmp_path / "plan.json"
    found = forecast(json=True, output=str(path))
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text()) == found
    assert [each["place"]["name"] for each in found["devices"]] == [*accelerators.accelerators()]
    by_name = {each["place"]["name"]: each["place"]["precision"] for each in found["devices"]}
    assert (by_name["t4"], by_name["h100"]) == ("mixed_float16", "mixed_bfloat16")
    assert command(found).model.size == "mini"
    one, two = (
        forecast(device=("h100",), num_devices=n, batch_size=4096, utilization=0.2)["devices"][0]
        for n in (1, 2)
    )
    assert 0.49 < two["hours"] / one["hours"] < 0.52
    assert two["dollars"] == pytest.approx(2 * two["hours"] * 6.88)
    mine = forecast(device=("t4",), price_per_hour=2.0, watts=500.0)["devices"][0]
    assert mine["dollars"] == pytest.approx(2 * mine["hours"])
    assert mine["kilowatt_hours"] == pytest.approx(mine["hours"] / 2)


@pytest.mark.parametrize(
    ("flags", "limit"),
    [
        ({"hours": 8.0, "device": ("a100_40gb",)}, 8.0),
        ({"hours": 100.0, "dollars": 6.88, "device": ("h100",)}, 1.0),
        ({"hours": 1.0, "tokens": 1e8, "objective": "causal_lm", "device": ("l4",)}, 1.0),
        ({"hours": 1.0, "memory": "4GB", "size": "small", **T4}, 1.0),
    ],
)
def test_a_budget_is_spent(flags, limit):
    found = forecast(**flags)
    (device,), config = found["devices"], command(found)
    assert 0.95 * limit < device["hours"] <= limit
    assert device["fits"]
    if "memory" in flags:
        assert device["memory"]["peak"] <= 4e9
        assert config.optimization.accumulate_steps > 1
    assert config.objective.name == flags.get("objective", "masked_lm")
    assert config.optimization.batch_size == found["work"]["batch_size"]
    assert config.duration == f"{found['work']['steps']} steps"
    assert 0 < config.optimization.learning_rate <= 3e-3
    config.optimization.check_parts(1)


def test_more_money_buys_a_larger_model():
    parameters = [
        forecast(dollars=dollars, device=("h100",), objective="causal_lm")["work"]["parameters"]
        for dollars in (0.01, 1.0, 100.0, 3000.0)
    ]
    assert parameters == sorted(set(parameters))


def test_what_was_given_stays(tmp_path):
    found = forecast(
        hours=2.0,
        size="mini",
        batch_size=48,
        learning_rate=5e-4,
        dropout=0.0,
        preset="modern",
        **T4,
    )
    config = command(found)
    assert (config.model.size, config.model.preset, config.model.dropout) == ("mini", "modern", 0.0)
    assert config.optimization.batch_size == 48
    assert config.optimization.learning_rate == 5e-4


def test_little_text_wants_a_smaller_model_and_is_told(capsys):
    flags = {"hours": 8.0, "device": ("h100",), "objective": "causal_lm"}
    little, much = (forecast(tokens=tokens, **flags)["work"] for tokens in (1e7, 1e12))
    assert little["epochs"] > 4 > much["epochs"]
    assert "up to 4 are nearly as good" in " ".join(capsys.readouterr().out.split())


def test_the_laws():
    for objective, ratio in proposal.TOKENS_A_WEIGHT.items():
        flops = 1e20
        best = min(
            (proposal.excess(n, flops / 6 / n, None, objective), n)
            for n in (1e8 * 1.01**i for i in range(-300, 600))
        )[1]
        assert flops / 6 / best / best == pytest.approx(ratio, rel=0.03)
    assert proposal.worth(4e6, 1e6, "causal_lm") == pytest.approx(3.72e6, rel=0.01)
    assert proposal.worth(1e12, 1e6, "causal_lm") == pytest.approx(16e6)  # U + U R at most
    assert proposal.batch_tokens(1e19) == pytest.approx(0.48e6, rel=0.03)
    assert proposal.learning_rate(1e19, 128) == 1.3e-3


REFUSED = [
    (
        {"hours": 1e-9, **T4},
        r"--hours=1e-09 on t4; wanted at least --hours=\S+, in which --size=tin",
    ),
    ({"dollars": 1e-9, **T4}, r"found --dollars=1e-09 on t4; wanted at least --dollars="),
    (
        {"memory": "10MB", "hours": 1.0, **T4},
        r"10.0 MB of memory; wanted at least \S+ MB, which --s",
    ),
    ({"memory": "1MB"}, "wanted at least .* GB, which --size=mini takes with one row at a time"),
    ({"memory": "some"}, "found --memory=some; wanted a number of bytes, such as 16GB"),
    ({"hours": 1.0}, "found a budget of hours or dollars and no single --device"),
    ({"dollars": 1.0, "device": ("tpu_v9",)}, "found --device=tpu_v9; wanted one of tpu_v"),
    ({"device": ("A100",)}, "found --device=A100; wanted one of a100_40gb, a100_80gb, "),
    ({"duration": "3 epochs"}, "wanted --examples=FOLDER or --tokens="),
    ({"duration": "x"}, "found the duration 'x'"),
    ({"size": "huge"}, "found --size=huge; wanted one of tiny, "),
    ({"max_predictions_per_seq": 1000}, "found 1000 predictions and 128 tokens in a row"),
    ({"batch_size": 6, "accumulate_steps": 4}, "found --batch_size=6; wanted a multiple of 4"),
]


@pytest.mark.parametrize(("flags", "message"), REFUSED, ids=[str(k) for k, _ in REFUSED])
def test_mistakes_are_one_line(flags, message):
    with pytest.raises((InputError, program.FlagError), match=message) as raised:
        forecast(**flags)
    assert "\n" not in str(raised.value)


def test_the_least_budget_that_is_named_is_enough():
    with pytest.raises(InputError) as raised:
        forecast(hours=1e-9, **T4)
    least = float(str(raised.value).split("--hours=")[2].split(",")[0])
    assert forecast(hours=least, **T4)["work"]["steps"] >= proposal.LEAST_STEPS


def test_examples_tell_text_length_and_ids(work):
    examples = work.examples
    found = forecast(examples=str(examples), duration="2 epochs", batch_size=8, **T4)
    manifest = json.loads(Path(examples, "manifest.json").read_text())
    assert found["model"]["vocabulary_size"] == manifest["tokenizer"]["size"]
    assert found["model"]["max_sequence_length"] == manifest["max_seq_length"]
    assert found["work"]["epochs"] == pytest.approx(2, rel=0.2)
    config = command(found)
    assert config.examples == str(examples)
    assert config.duration == "2 epochs"
    with pytest.raises(InputError, match="wanted one of them"):
        forecast(examples=str(examples), tokens=1e9)


def test_this_machine_is_measured(capsys):
    found = forecast(debug=True, device=("here",), vocab_size=100, precision="float32")
    (device,) = found["devices"]
    assert device["speed"]["measured"]
    assert device["speed"]["how"] == "measured: 3 steps of 8 rows"
    assert device["place"]["available"] > device["memory"]["peak"] > device["memory"]["runtime"]
    assert (device["dollars"], device["kilowatt_hours"]) == (None, None)
    other = forecast(debug=True, device=("here",), objective="masked_and_causal", seed=1)
    assert "products measured" in other["devices"][0]["speed"]["how"]


def test_no_tensorflow_is_loaded():
    code = (
        "import sys; from roots_tf import commands\n"
        "commands.call_line('plan', ['--hours=1', '--device=t4'])\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_amounts():
    assert bytes_of("1.5 GiB", "memory") == 1.5 * 2**30
    assert bytes_of("16g", "memory") == 16e9
    assert settings.Optimization().learning_rate == plan.settling.LIKE_PRETRAIN["learning_rate"]
