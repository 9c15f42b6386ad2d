"""`pretrain` on a mixture: scores by source, the same bits after a stop, what is refused."""

import json
import shutil

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import pretrain
from roots_tf import program, training
from roots_tf.diagnosis import diagnosis
from roots_tf.reports import run_record
from roots_tf.storage.files import InputError
from roots_tf.training.metrics_file import read_metrics
from tests.pipelines.test_pretrain import config, curve, weights


@pytest.fixture(scope="module")
def sources(work, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("sources")
    for name in ("zh", "en"):
        shutil.copytree(work.examples, folder / name)
    return f"zh={folder}/zh,en={folder}/en"


def test_a_mixture_is_scored_by_source_and_goes_on_as_it_began(work, sources, tmp_path):
    fields = {"examples": sources, "mixture_weights": ("zh=3", "en=1"), "duration": "20"}
    fields |= {"batch_size": 16}
    report = pretrain.main(config(work, tmp_path / "run", **fields))
    by_source = [report[f"held_out/{name}/masked_lm_loss"] for name in ("zh", "en")]
    assert report["masked_lm_loss"] == pytest.approx(np.mean(by_source))
    last = read_metrics(tmp_path / "run")[-1]
    assert last["held_out/zh/masked_lm_loss"] == by_source[0]
    shown = EventAccumulator(str(tmp_path / "run" / "logs" / "held_out")).Reload().Tags()
    assert {"held_out/zh/masked_lm_loss", "loss/masked_lm_loss"} <= set(shown["scalars"])
    [told] = json.loads((tmp_path / "run" / "plan.json").read_text())["mixtures"]
    assert told["zh"]["rows"] == 240
    assert told["zh"]["token_share"] == pytest.approx(0.75, abs=0.01)
    assert "step 20" in diagnosis.healthy(run_record.read(tmp_path / "run")).found

    shutil.copytree(tmp_path / "run", tmp_path / "stopped")
    for path in (tmp_path / "stopped" / "checkpoints").glob("ckpt-20*"):
        path.unlink()
    (tmp_path / "stopped" / "report.json").unlink()
    pretrain.main(config(work, tmp_path / "stopped", **fields))
    assert curve(tmp_path / "stopped") == curve(tmp_path / "run")
    for name, value in weights(tmp_path / "run").items():
        np.testing.assert_array_equal(value, weights(tmp_path / "stopped")[name], err_msg=name)


def test_the_folder_of_which_the_content_changed_is_named(work, sources, tmp_path):
    def claim(text):
        flags = config(work, tmp_path / "run", examples=text)
        found = pretrain.phases_of(flags)
        return training.claim_of(flags, found, pretrain.of_a_phase(flags))

    claim(sources).begin(tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").touch()
    zh, en = (text.partition("=")[2] for text in sources.split(","))
    claim(f"en={en}/,zh={zh}").begin(tmp_path / "run")  # in another order, of another spelling
    shutil.copytree(zh, tmp_path / "zh")
    path = tmp_path / "zh" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["splits"]["train"]["shards"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    for text, message in (
        (f"zh={tmp_path}/zh,en={en}", r"found another content of --examples\.zh than"),
        (f"zh={zh},de={en}", r"found another content of .*--examples\.en, .*than"),
    ):
        with pytest.raises(InputError, match=message):
            claim(text).begin(tmp_path / "run")


def test_each_phase_has_a_mixture_of_its_own(work, sources, tmp_path):
    zh, en = sources.split(",")
    phases = (f"examples={zh}", f"{en} duration=3 mixture_weights=zh=3", "en=1")
    phases += (f"examples={work.examples} duration=2",)
    flags = config(work, tmp_path, examples="", phases=phases, batch_size=16)
    first, second = pretrain.phases_of(flags)
    assert (first.mixture["zh"]["rows"], first.mixture["en"]["rows"]) == (36, 12)
    assert (second.mixture, second.reads) == ({}, work.examples)


def test_mistakes_are_one_line(work, sources, tmp_path):
    zh, en = sources.split(",")
    for fields, message in (
        ({"examples": zh}, "found one source, zh=.*; wanted two or more"),
        ({"examples": f"{zh},zh={tmp_path}"}, "found the source zh twice"),
        ({"examples": f"{zh},={tmp_path}"}, "wanted name=path for each"),
        ({"examples": f"{zh},en="}, "found 'en=' among named sources"),
        ({"examples": f"{zh},{work.examples}"}, "wanted name=path for each"),
        ({"examples": f"{zh},en={tmp_path}/none"}, "found no .*none/manifest.json"),
        ({"examples": sources, "mixture_alpha": 1.5}, "found --mixture_alpha=1.5; wanted a number"),
        ({"examples": sources, "mixture_weights": ("zh=0", "en=1")}, "found 'zh=0'"),
        ({"mixture_alpha": 0.3}, "found --mixture_alpha without named sources"),
        ({"examples": sources, "output": en.partition("=")[2]}, "the folder of --examples"),
    ):
        output = fields.pop("output", tmp_path / "no")
        with pytest.raises((InputError, program.FlagError), match=message) as raised:
            pretrain.main(config(work, output, **fields))
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "no").exists()
