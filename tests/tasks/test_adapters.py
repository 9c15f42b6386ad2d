"""Adapters over one base in one SavedModel answer as each model does by itself, of its weights."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines import export, merge
from roots_tf import models, tasks, tokenizers
from roots_tf.export import answering, operations, saved_model
from roots_tf.models.tuning import TUNINGS
from roots_tf.serving import rest
from roots_tf.serving.model import Model
from roots_tf.storage.files import InputError
from tests.tasks.test_finetuning import write

WAYS = {
    "reviews": ("classification", TUNINGS["lora"](lora_rank=2, lora_alpha=6.0)),
    "names-of_all": ("tagging", TUNINGS["prefix"](prefix_length=5)),
    "vectors": ("contrastive", TUNINGS["adapter"](adapter_dim=4)),
    "prompted": ("cloze", TUNINGS["prompt"](prompt_length=5)),
}
TEXTS = ["a fine film in the end", "dull", "", "what was Anna in York " * 20]


def learned(folder: Path, base: Path, name: str, tuning) -> Path:
    """An adapter over a base, whose weights are drawn."""
    folder.mkdir()
    kind = tasks.KINDS[name](max_seq_length=64)
    if name == "cloze":
        kind = kind.with_template("{text} it was [MASK]")
        kind = kind.with_verbalizer(("good=the", "bad=of"))
    kind = kind.learn(kind.read(write(folder, name), {})).of_tokenizer(tokenizers.load(base))
    sizes = tuning.grown(models.describe(base)["encoder"])
    model = kind.make_model(sizes, seed=3)
    models.load_common(base, model, tuning.is_new)
    tuning.prepare(model)
    for i, weight in enumerate(model.variables):
        if tuning.trains(weight.path):
            weight.assign_add(tf.random.stateless_normal(weight.shape, [i, 3], stddev=0.3))
    said = models.description_of(model, **kind.of_model({"encoder": sizes}).description())
    of_model = {"base": base, "description": said}
    settings = dataclasses.asdict(tuning)
    models.save_adapter(
        folder / "adapter", tuning.name, settings, tuning.learned(model), **of_model
    )
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer, encoder) -> Path:
    folder = tmp_path_factory.mktemp("base")
    sizes = dataclasses.replace(encoder, initializer_range=0.3)
    models.save(folder, models.Pretrainer(sizes, seed=1))
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def runs(base, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {name: learned(root / name, base, *way) for name, way in WAYS.items()}


def adapters(runs: dict[str, Path]) -> tuple[str, ...]:
    return tuple(f"{name}={run}/adapter" for name, run in runs.items())


@pytest.fixture(scope="module")
def served(base, runs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    config = export.Config(model=str(base), output=str(folder), adapters=adapters(runs))
    return Path(export.main(config))


def test_each_answers_as_its_merged_folder_does(served, base, runs, tmp_path):
    together = tf.saved_model.load(str(served)).signatures
    assert together.keys() == {*WAYS, "vectors.embedding", "vectors.tokens"}
    seen = set()
    for name, run in runs.items():
        folder = str(tmp_path / name)
        merge.main(merge.Config(f"{run}/adapter", str(base), folder))
        kind = tasks.restore(models.describe(folder))
        model, tokenizer = models.load(folder), tokenizers.load(folder)
        columns = {column: TEXTS[i:] + TEXTS[:i] for i, column in enumerate(kind.texts)}
        wanted = answering.predictions(kind, model, tokenizer, columns)
        sent = {column: tf.constant(texts) for column, texts in columns.items()}
        outputs = {key: value.numpy() for key, value in together[name](**sent).items()}
        found = kind.served(model, tokenizer).predictions(outputs, columns)
        assert not saved_model.difference(found, wanted, 1e-5, precise=True), name
        seen.add(str(wanted))
    assert len(seen) == len(WAYS)
    one, two = (together["vectors.embedding"](text=sent)["embedding"] for sent in
                (tf.constant(TEXTS), tf.constant(TEXTS[1:] + TEXTS[:1])))  # fmt: skip
    cosines = together["vectors"](
        text=tf.constant(TEXTS), text_pair=tf.constant(TEXTS[1:] + TEXTS[:1])
    )
    np.testing.assert_allclose(tf.reduce_sum(one * two, 1), cosines["cosine"], atol=1e-5)


def test_weights_of_the_base_are_there_once(served, base, runs):
    stored = tf.train.load_checkpoint(f"{served}/variables/variables").get_variable_to_shape_map()
    numbers = sum(int(np.prod(shape)) for shape in stored.values() if shape)
    parts = sum(value.size for run in runs.values()
                for value in models.Adapter(run / "adapter").weights().values())  # fmt: skip
    of_base = models.load(base).count_params()
    # Of the pretrainer the pooler and the head of pairs, which no adapter reads, are left out.
    assert of_base * 0.8 + parts < numbers <= of_base + parts
    data = sum(path.stat().st_size for path in (served / "variables").iterdir())
    assert data < 4 * (of_base + parts) + 50_000


def test_tables_of_the_tokenizer_are_there_once_for_each_use(served):
    graph = operations.meta_graph(served).graph_def
    tables = [node for function in graph.library.function for node in function.node_def
              if node.op == "Const" and node.ByteSize() > 1_000_000]  # fmt: skip
    assert len(tables) == 2  # of `tokenize`, and of `tokenize_with_offsets`, by which tags are told


def test_a_server_answers_each_by_its_name_and_the_card_tells_them(served, runs):
    model = Model(str(served.parent))
    body = json.dumps({"signature_name": "reviews", "instances": TEXTS}).encode()
    call = rest.read(body, model.signatures, 1 << 20)
    labels = model.compute(call.signature, call.inputs)["label"]
    assert set(labels.tolist()) <= {b"good", b"bad"} and len(labels) == 4
    with pytest.raises(rest.ApiError, match="wanted one of names-of_all, prompted, reviews, vec"):
        rest.read(json.dumps({"instances": TEXTS}).encode(), model.signatures, 1 << 20)
    assert {p.stem for p in (served / "requests").glob("*.json")} == model.signatures.keys()
    card = (served / "README.md").read_text("utf-8")
    assert "| `reviews` | classification | lora | `bad`, `good` |" in card
    assert "--adapters=reviews=adapter,names-of_all=adapter," in card


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"adapters": ("{reviews}",)}, "found '.*adapter' in --adapters; wanted name=folder"),
        ({"adapters": ("a b={reviews}",)}, "found 'a b=.*' in --adapters; wanted name=folder"),
        ({"adapters": ("__init={reviews}",)}, "found '__init=.*wanted name=folder"),
        ({"adapters": ("a.b={reviews}",)}, "found 'a.b=.*wanted name=folder"),
        ({"adapters": ("x=",)}, "found 'x=' in --adapters; wanted name=folder"),
        ({"adapters": ("a={reviews}", "a={vectors}")}, "found the name a twice in --adapters"),
        ({"adapters": ("a={reviews}/../model",)}, "found no adapter.json in .*model"),
        ({"adapters": ("a=nowhere",)}, "found no adapter.json in nowhere; wanted an adapter"),
        ({"format": "litert"}, "found --adapters and --format=litert; wanted --format=saved_mod"),
        ({"format": "peft"}, "found --adapters and --format=peft; wanted --format=saved_model"),
        ({"pooling": "cls"}, "found --adapters and --pooling; wanted"),
        ({"max_new_tokens": 3}, "found --max_new_tokens=3 and a model of the adapters a, "),
    ],
)
def test_what_does_not_go_together_is_refused(base, runs, tmp_path, fields, message):
    places = {name: f"{run}/adapter" for name, run in runs.items()}
    fields = {"adapters": ("a={reviews}",)} | fields
    given = tuple(text.format(**{"reviews": places["reviews"], "vectors": places["vectors"]})
                  for text in fields["adapters"])  # fmt: skip
    config = export.Config(
        model=str(base), output=str(tmp_path / "out"), **fields | {"adapters": given}
    )
    with pytest.raises(InputError, match=message) as raised:
        export.main(config)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_base_is_refused(base, runs, tokenizer, tmp_path):
    other = tmp_path / "other"
    models.save(other, models.Pretrainer(models.describe(base)["encoder"], seed=2))
    tokenizer.save(other)
    config = export.Config(model=str(other), output=str(tmp_path / "out"), adapters=adapters(runs))
    with pytest.raises(InputError, match=r"found model.safetensors of sha256 .* in .*other; wante"):
        export.main(config)
    assert not (tmp_path / "out").exists()
