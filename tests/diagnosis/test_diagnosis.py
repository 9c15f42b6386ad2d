"""The diagnosis: each finding from literal rows that show it and nothing else."""

import dataclasses
import re

import pytest

from roots_tf.diagnosis import data_symptoms, diagnosis, learning_symptoms, masked_lm
from roots_tf.diagnosis.findings import PhaseRecord, RunRecord

SETTINGS = {
    "batch_size": 256, "learning_rate": 1e-4, "warmup_steps": 100, "optimizer": "adamw",
    "sentence_objective": "nsp", "evaluate_every": 1000,
}  # fmt: skip
MANIFEST = {
    "build": "a", "max_seq_length": 128, "unigram_entropy": 6.5, "unknown_percent": 0.1,
    "padding_percent": 5.0,
    "splits": {"train": {"examples": 100_000, "tokens": 10_000_000}, "held_out": {"examples": 900}},
}  # fmt: skip
TRAIN = {
    "next_sentence_label_1": 0.501, "gradient_norm": 0.8, "clipped": 0.3, "input_wait": 0.02,
    "skipped": 0, "spikes": 0, "tokens_per_second": 2000.0,
}  # fmt: skip
HELD_OUT = {"next_sentence_accuracy": 0.8, "next_sentence_base_rate": 0.51}


def run(
    settings=None, manifest=None, train=None, held_out=None, report=True, **fields
) -> RunRecord:
    """A healthy run of 10,000 steps, a row each 500, with the changes given.

    Changes of rows are constants or functions of the step.
    """

    def row(group, step, usual, changes):
        values = usual | {
            name: change(step) if callable(change) else change
            for name, change in (changes or {}).items()
        }
        return {"group": group, "step": step} | {k: v for k, v in values.items() if v is not None}

    rows = []
    for step in range(500, 10_001, 500):
        rows.append(row("train", step, TRAIN | {"masked_lm_loss": 6 - step / 4000}, train))
        if step % 1000 == 0 and held_out != "none":
            loss = {"masked_lm_loss": 6.1 - step / 4000}
            rows.append(row("held_out", step, HELD_OUT | loss, held_out))
    phase = PhaseRecord(SETTINGS | (settings or {}), MANIFEST | (manifest or {}), 0, 10_000)
    return RunRecord(
        **{
            "phases": [phase],
            "rows": rows,
            "report": {"step": 10_000} if report else None,
            "checkpoint_step": 10_000,
        }
        | fields
    )


def splits(**held_out):
    return {"splits": {**MANIFEST["splits"], "held_out": held_out}}


def at(step, value, otherwise):
    return lambda now: value if now == step else otherwise


WHOLE_WORDS = {"masking": "whole_word"}


def words(tokens=(90, 5), remarks=(), segmentation="auto", unspaced=80.0):
    """What a manifest says of words: `tokens` of 1, 2, ... tokens each."""
    measured = sum(length * count for length, count in enumerate(tokens, 1))
    return {"words": {
        "segmentation": segmentation, "remarks": list(remarks), "unspaced_percent": unspaced,
        "tokens": list(tokens), "measured_tokens": measured,
    }}  # fmt: skip


CASES = {
    "words_not_segmented": (
        run(WHOLE_WORDS, {"unspaced_percent": 97.0}), "serious", "older format, .* 97 % of their",
    ),
    "segmenter_missing": (
        run(WHOLE_WORDS, words(remarks=["found text of th, whose"])), "notice", "^found text",
    ),
    "words_longer_than_the_budget": (
        run(WHOLE_WORDS, words([10] + 18 * [0] + [0, 2])), "serious", "81 % .* more than 19 tokens",
    ),
    "unigram_plateau": (run(held_out={"masked_lm_loss": 6.4}), "serious", "6.400 .* 6.500"),
    "input_bound": (run(train={"input_wait": 0.45}), "serious", "45 %"),
    "no_held_out": (run(held_out="none"), "serious", "no held-out scores$"),
    "label_imbalance": (run(train={"next_sentence_label_1": 0.7}), "notice", "70.0 %"),
    "next_sentence_at_base_rate": (
        run(held_out={"next_sentence_accuracy": 0.52}), "notice", "0.520.* 0.510",
    ),
    "unknown_tokens": (run(manifest={"unknown_percent": 7.5}), "serious", "7.5 %"),
    "padding": (run(manifest={"padding_percent": 40.0}), "notice", "40 %"),
    "learning_rate_high": (run({"learning_rate": 0.1}), "notice", "0.1 with batches of 256"),
    "learning_rate_low": (run({"learning_rate": 1e-6}), "notice", "around 0.0001"),
    "gradient_spikes": (run(train={"spikes": at(7000, 2, 0)}), "notice", "^2 gradient spikes"),
    "always_clipped": (run(train={"clipped": 1.0}), "notice", "100 % .* about 0.8"),
    "skipped_steps": (run(train={"skipped": at(500, 3, 0)}), "notice", "3 steps, 0.03 %"),
    "overfitting": (
        run(held_out={"masked_lm_loss": lambda step: 4 + abs(step - 4000) / 10_000}),
        "serious", r"4.000 at step 4,000 to 4.600",
    ),
    "many_epochs": (
        run(manifest={"splits": {"train": {"examples": 50_000}, "held_out": {"examples": 9}}}),
        "notice", "51 times",
    ),
    "long_warmup": (run({"warmup_steps": 10_000}), "serious", "10,000 of 10,000"),
    "slowing": (
        run(train={"tokens_per_second": lambda step: 2000 - step / 10}), "notice", "1,1.. late",
    ),
    "unfinished": (run(report=False), "notice", "step 10,000 .* of step 10,000"),
    "stale_report": (run(checkpoint_step=12_000), "serious", "10,000, .* on to 12,000"),
    "no_metrics": (run(rows=[], report=None), "serious", "no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_finding_alone(name):
    case, severity, told = CASES[name]
    [finding] = diagnosis.diagnose(case)
    assert (finding.name, finding.severity) == (name, severity)
    assert re.search(told, finding.found), finding.found
    assert all([finding.why, finding.action])


# Rates of README, the recipes and docs/pretrain.md, and of papers: rate, rows, width, modern.
MEASURED = [
    (3e-3, 32, 128, True), (1.5e-3, 32, 128, False), (1e-3, 32, 256, True), (3e-4, 11, 256, True),
    (1e-4, 256, 768, False), (6e-4, 8192, 768, False), (4e-4, 8192, 1024, False),
    (5e-4, 128, 256, False), (8e-4, 4608, 768, True),
]  # fmt: skip


@pytest.mark.parametrize(("rate", "batch", "width", "modern"), MEASURED)
def test_rates_that_were_measured_are_usual(rate, batch, width, modern):
    usual = learning_symptoms.usual_rate(batch, width, modern)
    assert usual / 2 < rate < usual * 2

    def found(rate: float, **fields) -> list[str]:
        case = run({"learning_rate": rate, "batch_size": batch})
        phase = dataclasses.replace(case.phases[0], width=width, pre_norm=modern, manifest=None)
        case = dataclasses.replace(case, phases=[phase])
        return [finding.name for finding in diagnosis.diagnose(case)]

    assert found(rate) == ["healthy"]
    assert found(20 * rate) == ["learning_rate_high"]
    assert found(rate / 40) == ["learning_rate_low"]


def test_advice_names_no_step_that_is_done():
    [warmup] = diagnosis.diagnose(run({"warmup_steps": 8000, "warmup_share": 0.8}))
    assert "lower --warmup_share, 0.8 here" in warmup.action
    [held_out] = diagnosis.diagnose(run(held_out="none"))
    assert "build-examples" not in held_out.action
    for deviation, named in ((0.02, True), (0.06, False)):
        [plateau] = diagnosis.diagnose(
            run({"initializer_range": deviation}, held_out={"masked_lm_loss": 6.4})
        )
        assert ("--initializer_range" in plateau.action) == named
    for scale, named in ((None, False), (1024.0, True)):
        [skipped] = diagnosis.diagnose(run(train={"skipped": 10, "loss_scale": scale}))
        assert ("mixed_float16" in skipped.action) == named
    going_on = run({"learning_rate": 1e-6, "init_from": "another/model"})
    assert [finding.name for finding in diagnosis.diagnose(going_on)] == ["healthy"]


def test_a_share_above_the_peak_is_told_as_such():
    [finding] = diagnosis.diagnose(run(train={"flop_utilization": 1.19}))
    assert (finding.name, finding.severity) == ("low_peak", "notice")
    assert "reached 119 % of the peak" in finding.found
    assert "flop_utilization" not in diagnosis.main_numbers(run(train={"flop_utilization": 1.19}))
    assert diagnosis.main_numbers(run(train={"flop_utilization": 0.4}))["flop_utilization"] == 0.4


def test_a_healthy_run():
    [finding] = diagnosis.diagnose(run())
    assert finding.severity == "healthy"
    usual = {
        "step": 10_000, "held_out_masked_lm_loss": 3.6, "held_out_next_sentence_accuracy": 0.8,
        "unigram_entropy": 6.5, "tokens_per_second": 2000.0,
    }  # fmt: skip
    assert finding.numbers == pytest.approx(usual)
    assert "step 10,000, held_out_masked_lm_loss 3.6, " in finding.found


def test_what_was_not_written_is_not_judged():
    unknown = dict.fromkeys(TRAIN)
    bare = run(train=unknown, held_out={"next_sentence_accuracy": None})
    bare = dataclasses.replace(bare, phases=[dataclasses.replace(bare.phases[0], manifest=None)])
    assert [finding.name for finding in diagnosis.diagnose(bare)] == ["healthy"]


def test_spikes_are_found_in_the_norms_of_older_runs():
    norms = {"spikes": None, "gradient_norm": at(8000, 3.0, 0.8)}
    [finding] = diagnosis.diagnose(run(train=norms))
    assert finding.name == "gradient_spikes"
    assert "at steps 8,000" in finding.found


def test_a_short_run_is_not_judged_by_its_loss():
    short = run()
    rows = [row for row in short.rows if row["step"] <= 500]
    phase = dataclasses.replace(short.phases[0], last_step=500, manifest=MANIFEST)
    short = RunRecord([phase], rows, {"step": 500}, 500)
    assert [finding.name for finding in diagnosis.diagnose(short)] == ["no_held_out", "few_steps"]


def test_scores_of_an_earlier_phase_do_not_count():
    """The held-out loss rises where sequences change; the second phase is judged alone."""
    first = run()
    later = [
        row | {"step": row["step"] + 10_000}
        | ({"masked_lm_loss": row["masked_lm_loss"] + 0.5} if row["group"] == "held_out" else {})
        for row in first.rows
    ]  # fmt: skip
    phases = [first.phases[0], dataclasses.replace(first.phases[0], first_step=10_000)]
    phases[1] = dataclasses.replace(phases[1], last_step=20_000)
    both = RunRecord(phases, [*first.rows, *later], {"step": 20_000}, 20_000)
    found = diagnosis.diagnose(both)
    assert [finding.name for finding in found] == ["many_epochs"]  # 51, of both phases together
    assert found[0].numbers["epochs"] == pytest.approx(51.2)


def test_the_serious_come_first():
    found = diagnosis.diagnose(run(manifest={"unknown_percent": 7.5, "padding_percent": 40.0}))
    assert [finding.name for finding in found] == ["unknown_tokens", "padding"]
    found = diagnosis.diagnose(run({"warmup_steps": 10_000}, train={"clipped": 1.0}))
    assert [finding.severity for finding in found] == ["serious", "notice"]


def test_an_objective_without_a_row_has_the_symptoms_of_every_training():
    """A plateau and a base rate are masked words' own; a spike and a rising loss are not."""
    unlike = {"masked_lm_loss": 6.4, "next_sentence_accuracy": 0.5, "other_loss": at(4000, 1, 2)}
    strange = run(
        {"objective": "bag_of_words"},
        {"unknown_percent": 7.5},
        {"spikes": at(7000, 2, 0), "other_loss": lambda step: 3 - step / 10_000},
        unlike,
    )
    found = {finding.name for finding in diagnosis.diagnose(strange)}
    assert found == {"unknown_tokens", "gradient_spikes", "overfitting"}
    assert diagnosis.main_numbers(strange)["held_out_other_loss"] == 2


def test_contiguous_examples_are_packed_and_need_no_padding():
    assert "padding" in [
        f.name for f in diagnosis.diagnose(run(manifest={"padding_percent": 40.0}))
    ]
    manifest = {"padding_percent": 40.0, "layout": "contiguous"}
    assert [f.name for f in diagnosis.diagnose(run(manifest=manifest))] == ["healthy"]


def test_of_a_mixture_the_source_is_named_and_counted_by_itself():
    few = {"build": "few", "unknown_percent": 13.0}
    manifest = {"build": "both", "unknown_percent": 13.0, "sources": {"en": {"build": "en"}}}
    manifest["sources"]["zh"] = few
    manifest["splits"] = {"train": {"examples": 1000}, "held_out": {"examples": 9}}
    parts = {"en": {"epochs": 2.0}, "zh": {"epochs": 90.0}}
    phase = PhaseRecord({"batch_size": 8}, manifest, 0, 1000, mixture=parts)
    run = RunRecord([phase], [], None)
    assert data_symptoms.unknown_tokens(run).found == "13.0 % of the tokens of zh are unknown"
    assert masked_lm.epochs(run).numbers == {"epochs": 90.0}
