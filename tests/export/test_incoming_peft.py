"""Adapters of peft as ours: what they add to a base, and what is refused of them."""

import dataclasses
import importlib
import json

import numpy as np
import pytest
import safetensors.numpy

from pipelines import export, merge
from roots_tf import models, tasks
from roots_tf.models.tuning import LowRankTuning
from roots_tf.storage.files import InputError
from tests.export.test_peft import BERT, CASES, GPT2, LLAMA, TOKENIZER, adapter_of, exported

import_checkpoint = importlib.import_module("pipelines.import")
ATTENTION = "base_model.model.bert.encoder.layer.{}.attention.self.{}.lora_{}.weight"


def imported(folder, base, output) -> models.Adapter:
    import_checkpoint.main(
        import_checkpoint.Config(from_=str(folder), base=str(base), output=str(output))
    )
    return models.Adapter(output)


def folder_of(path, arrays: dict, **said):
    """A folder as peft writes it."""
    path.mkdir()
    safetensors.numpy.save_file(arrays, path / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 6} | said
    (path / "adapter_config.json").write_text(json.dumps(said))
    return path


def base_of(path, model=None):
    models.save(path, model or models.Pretrainer(BERT, seed=1))
    TOKENIZER.save(path)
    return path


def pair(index=0, name="query", rank=2, width=16, outputs=16) -> dict:
    """A and B of a module, of small whole numbers."""
    first = np.arange(rank * width, dtype="float32").reshape(rank, width) % 5
    second = np.arange(outputs * rank, dtype="float32").reshape(outputs, rank) % 3
    return {ATTENTION.format(index, name, part): x for part, x in (("A", first), ("B", second))}


def merged(adapter, base, output) -> dict[str, np.ndarray]:
    merge.main(merge.Config(str(adapter), str(base), str(output)))
    return safetensors.numpy.load_file(output / "model.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_what_was_exported_comes_back_as_it_was(name, tmp_path):
    config, kind, targets = CASES[name]
    adapter_of(tmp_path, config, kind, LowRankTuning(3, 12.0, targets))
    exported(tmp_path / "adapter", tmp_path / "peft", "peft")
    ours = models.Adapter(tmp_path / "adapter")
    found = imported(tmp_path / "peft", tmp_path / "base", tmp_path / "back")
    assert found.tuning == ours.tuning
    one, other = ours.weights(), found.weights()
    assert one.keys() == other.keys()
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)
    again = exported(tmp_path / "back", tmp_path / "again", "peft")
    for key, value in safetensors.numpy.load_file(
        tmp_path / "peft/adapter_model.safetensors"
    ).items():
        np.testing.assert_array_equal(again[key], value, err_msg=key)
    assert json.loads((tmp_path / "again/adapter_config.json").read_text()) == json.loads(
        (tmp_path / "peft/adapter_config.json").read_text()
    )
    report = merge.main(
        merge.Config(str(tmp_path / "back"), str(tmp_path / "base"), str(tmp_path / "joined"))
    )
    assert report["tune"] == "lora"
    joined = models.describe(tmp_path / "joined")
    if kind.name == "classification":
        assert tasks.kind_of(joined).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_a_file_by_hand(tmp_path):
    """W + 6 / 2 x B A in the columns of the queries of one layer, and nowhere else."""
    base, arrays = base_of(tmp_path / "base"), pair(1)
    found = imported(folder_of(tmp_path / "peft", arrays), base, tmp_path / "adapter")
    assert found.tuning == LowRankTuning(2, 6.0, ("query",))
    after, before = (
        merged(tmp_path / "adapter", base, tmp_path / "whole"),
        safetensors.numpy.load_file(base / "model.safetensors"),
    )
    changed = "encoder/layer_1/attention/query_key_value_kernel"
    first, second = arrays.values()
    expected = before[changed].copy()
    expected[:, :16] += 3 * (second @ first).T
    for name, value in before.items():
        np.testing.assert_allclose(after[name], expected if name == changed else value, atol=1e-5)


def test_ranks_and_scales_of_single_modules(tmp_path):
    """Patterns by the ends of names, and the root of the rank where peft divides by that."""
    base = base_of(tmp_path / "base")
    arrays = pair(0, "query") | pair(0, "value", 4) | pair(1, "value", 4)
    said = {"rank_pattern": {"value": 4}, "alpha_pattern": {"layer.1.attention.self.value": 20}}
    before = safetensors.numpy.load_file(base / "model.safetensors")
    for rooted in (False, True):
        folder = folder_of(tmp_path / f"peft_{rooted}", arrays, use_rslora=rooted, **said)
        adapter = tmp_path / f"adapter_{rooted}"
        assert imported(folder, base, adapter).tuning.lora_rank == 4
        after = merged(adapter, base, tmp_path / f"whole_{rooted}")
        for layer, name, alpha, rank in (
            (0, "query", 6, 2), (0, "value", 6, 4), (1, "value", 20, 4), (1, "query", 0, 2),
        ):  # fmt: skip
            first, second = pair(0, name, rank).values()
            start = 0 if name == "query" else 32
            key = f"encoder/layer_{layer}/attention/query_key_value_kernel"
            update = alpha / (rank**0.5 if rooted else rank) * (second @ first).T
            found = (after[key] - before[key])[:, start : start + 16]
            np.testing.assert_allclose(found, update, rtol=1e-4, atol=1e-3)


def test_one_module_of_queries_keys_and_values_has_one_first_matrix(tmp_path):
    """As peft trains GPT-2; it leaves again as it came."""
    base = base_of(tmp_path / "base", models.CausalLM(GPT2, seed=1))
    draw = np.random.default_rng(0).normal
    arrays = {
        f"base_model.model.transformer.h.{i}.attn.c_attn.lora_{part}.weight": np.float32(x)
        for i in range(2)
        for part, x in (("A", draw(size=[2, 16])), ("B", draw(size=[48, 2])))
    }
    folder = folder_of(tmp_path / "peft", arrays, task_type="CAUSAL_LM", fan_in_fan_out=True)
    assert imported(folder, base, tmp_path / "adapter").tuning.lora_targets == (
        *("query", "key", "value"),
    )
    after = merged(tmp_path / "adapter", base, tmp_path / "whole")
    before = safetensors.numpy.load_file(base / "model.safetensors")
    for i in range(2):
        key = f"encoder/layer_{i}/attention/query_key_value_kernel"
        first, second = list(arrays.values())[2 * i : 2 * i + 2]
        np.testing.assert_allclose(after[key], before[key] + 3 * (second @ first).T, atol=1e-5)
    again = exported(tmp_path / "adapter", tmp_path / "again", "peft")
    assert again.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(again[key], value, err_msg=key)


def test_what_is_no_adapter_of_the_base_is_refused(tmp_path):
    base, causal = base_of(tmp_path / "base"), base_of(tmp_path / "gpt", models.CausalLM(GPT2))
    modern = dataclasses.replace(BERT, **models.preset_fields("modern"))
    modern = base_of(tmp_path / "modern", models.Classifier(modern, 2))
    extra = {"base_model.model.bert.embeddings.word_embeddings.lora_embedding_A": np.ones([2, 14])}
    head = {"base_model.model.classifier.weight": np.ones([3, 16], "float32")}
    wrong = pair() | {ATTENTION.format(0, "query", "A"): np.full([2, 16], np.nan, "float32")}
    cases = [
        (
            base,
            pair(),
            {"use_dora": True},
            "found use_dora=True in .*; wanted an adapter of peft_t",
        ),
        (base, pair(), {"peft_type": "IA3"}, "found peft_type='IA3'"),
        (base, pair(), {"bias": "all"}, "found bias='all'"),
        (base, pair(), {"init_lora_weights": "pissa"}, "found init_lora_weights='pissa'"),
        (base, pair(), {"r": 0}, "found r=0 in .*adapter_config.json; wanted a number from 1"),
        (base, pair(), {"r": 3}, r"found weight .*query.lora_A.weight of shape \(2, 16\)"),
        (base, pair(width=8), {}, r"found weight .*lora_A.weight of shape \(2, 8\)"),
        (base, pair() | extra, {}, "found embeddings.word_embeddings.lora_embedding_A in"),
        (base, pair(7), {}, "found no update of a matrix of .*base in"),
        (base, pair() | pair(7), {}, "found encoder.layer.7.attention.self.query.lora_A.weight in"),
        (base, {}, {}, "found no update of a matrix"),
        (base, wrong, {}, "found numbers in the weight .* that are not finite"),
        (base, dict(list(pair().items())[:1]), {}, "found no weight .*query.lora_B.weight in"),
        (base, pair(), {"task_type": "SEQ_CLS"}, "found no weight of the head beside task_type"),
        (base, pair() | head, {"task_type": "SEQ_CLS"}, "found no weight classifier.bias in"),
        (base, pair() | head, {}, "found classifier.weight in"),
        (base, pair(), {"alpha_pattern": {"(": 3.0}}, r"found the pattern '\(' in adapter_config"),
        (causal, pair(), {}, "found no update of a matrix"),
        (
            modern,
            pair(),
            {},
            "found parts of no such model in .*modern .found norm='pre', .*; wanted the BERT",
        ),
    ]
    for i, (of, arrays, said, message) in enumerate(cases):
        folder = folder_of(tmp_path / f"peft_{i}", arrays, **said)
        with pytest.raises(InputError, match=message) as raised:
            imported(folder, of, tmp_path / "out")
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_its_base_or_damaged_is_refused(tmp_path):
    base, folder = base_of(tmp_path / "base"), folder_of(tmp_path / "good", pair())
    for fields, message in (
        ({"from_": str(folder)}, "found an adapter of peft in .*good and no --base"),
        ({"from_": str(base), "base": str(base)}, "found --base and no adapter_config.json in"),
        ({"from_": str(folder), "base": str(folder)}, "found no model.json in .*good"),
    ):
        with pytest.raises(InputError, match=message):
            import_checkpoint.main(import_checkpoint.Config(output=str(tmp_path / "out"), **fields))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="could not read .*adapter_model.safetensors"):
        imported(folder, base, tmp_path / "out")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="found no adapter_model.safetensors in .*good"):
        imported(folder, base, tmp_path / "out")
    (folder / "adapter_config.json").write_text("\ufeff{")
    with pytest.raises(InputError, match="adapter_config.json"):
        imported(folder, base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


PEFT = {
    "bert": (BERT, "SEQ_CLS", {"target_modules": ["query", "value", "dense"]}),
    "gpt2": (GPT2, "CAUSAL_LM", {"target_modules": ["c_attn", "c_fc"], "use_rslora": True}),
    "llama": (
        LLAMA,
        "CAUSAL_LM",
        {
            "target_modules": "all-linear",
            "rank_pattern": {"up_proj": 5, "layers.1.self_attn.q_proj": 1},
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PEFT)
def test_logits_are_those_of_peft(name, tmp_path):
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config, task_type, said = PEFT[name]
    causal = task_type == "CAUSAL_LM"
    make = models.CausalLM if causal else models.PooledEncoder
    base = base_of(tmp_path / "base", make(config, seed=1))
    export.main(export.Config(model=str(base), output=str(tmp_path / "hf"), format="huggingface"))
    torch.manual_seed(0)
    auto = "AutoModelForCausalLM" if causal else "AutoModelForSequenceClassification"
    fields = {} if causal else {"num_labels": 3}
    theirs = getattr(transformers, auto).from_pretrained(tmp_path / "hf", **fields)
    if name == "bert":  # its pooler is a dense layer too, but no map of a block
        said = said | {"exclude_modules": r".*pooler.*"}
    said = {"task_type": task_type, "r": 2, "lora_alpha": 7} | said
    theirs = peft.get_peft_model(theirs, peft.LoraConfig(**said)).eval()
    with torch.no_grad():
        for key, weight in theirs.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                weight.normal_(0, 0.2)
    theirs.save_pretrained(tmp_path / "peft")
    imported(tmp_path / "peft", base, tmp_path / "adapter")
    merged(tmp_path / "adapter", base, tmp_path / "whole")
    ours = models.load(tmp_path / "whole")
    ids = np.array([[2, 7, 8, 9, 3], [2, 5, 6, 12, 3]])
    given = {"input_ids": torch.tensor(ids), "attention_mask": torch.ones(2, 5, dtype=torch.int64)}
    with torch.no_grad():
        expected = theirs(**given).logits.numpy()
    features = {"token_ids": ids, "segment_ids": ids * 0, "padding_mask": ids > 0}
    found = ours(features)
    found = ours.logits(found) if causal else found
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)
    exported(tmp_path / "adapter", tmp_path / "again", "peft")
    back = imported(tmp_path / "again", base, tmp_path / "back")
    one, other = models.Adapter(tmp_path / "adapter").weights(), back.weights()
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)
