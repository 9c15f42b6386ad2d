"""sentence-transformers' folders in and out: the same vectors, or the step that is not there."""

import importlib
import json
import logging
import shutil

import numpy as np
import pytest

from pipelines import embed, export
from roots_tf import models, program, tokenizers
from roots_tf.export import hugging_face, sentence_transformers
from roots_tf.models import EmbeddingSettings
from roots_tf.storage.files import InputError
from tests.export.conftest import VOCABULARY

import_checkpoint = importlib.import_module("pipelines.import")

TEXTS = ["The ship.", "a", "the ship sails " * 20]
CONFIG = models.EncoderConfig(
    vocabulary_size=len(VOCABULARY), num_layers=1, hidden_dim=16, num_heads=2,
    intermediate_dim=24, max_sequence_length=20, initializer_range=0.3,
)  # fmt: skip
CLS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True}
QUERY = {"prompts": {"query": "the "}, "default_prompt_name": "query"}
SAID = EmbeddingSettings("cls", True, 9, {"query": "the "}, "query", "dot")


def save_ours(folder, settings=EmbeddingSettings(), lowercase=True, pooler=True):  # noqa: B008
    described = {} if settings == EmbeddingSettings() else {"embedding": vars(settings)}
    models.save(folder, models.PooledEncoder(CONFIG, pooler, seed=3), **described)
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=lowercase).save(folder)
    return folder


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def take_in(folder, output):
    import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))
    return models.embedding_settings(models.describe(output), str(output))


def vectors(model, tmp_path, **flags):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    output = str(tmp_path / "vectors.npy")
    embed.main(
        program.make(
            embed.Config,
            model=str(model),
            input=(str(tmp_path / "texts.txt"),),
            output=output,
            **flags,
        )
    )
    return np.load(output)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A Hugging Face folder without what sentence-transformers puts beside it."""
    folder = tmp_path_factory.mktemp("encoder")
    return hugging_face.write(folder / "out", save_ours(folder / "ours"))


@pytest.fixture
def theirs(encoder, tmp_path):
    """Writes a folder of sentence-transformers; gives it."""

    def save(steps=("Transformer", "Pooling", "Normalize"), package="models", **contents):
        folder = shutil.copytree(encoder, tmp_path / "theirs")
        paths = ["", *(f"{i}_{step}" for i, step in enumerate(steps) if i)]
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{package}.{s}"}
            for i, (path, s) in enumerate(zip(paths, steps, strict=True))
        ]
        write(folder / "modules.json", contents.pop("modules", modules))
        write(folder / "1_Pooling" / "config.json", contents.pop("pooling", CLS))
        for name, content in contents.items():
            write(folder / f"{name}.json", content)
        return folder

    return save


def test_old_and_new_files_say_the_same(theirs, tmp_path):
    bert = {"max_seq_length": 9, "do_lower_case": False}
    old = theirs(
        pooling=CLS | {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False},
        sentence_bert_config=bert,
        config_sentence_transformers=QUERY | {"similarity_fn_name": "dot"},
    )
    assert take_in(old, tmp_path / "old") == SAID
    new = theirs_of_today(old, tmp_path / "today")
    assert take_in(new, tmp_path / "new") == SAID
    inside = tmp_path / "inside"  # the model in a folder of its own, as releases before 1 had it
    inside.mkdir()
    shutil.move(old / "1_Pooling", inside)
    for name in ("modules.json", "config_sentence_transformers.json"):
        shutil.move(old / name, inside)
    shutil.move(old, inside / "0_Transformer")
    write(inside / "config.json", {"__version__": "0.2.5"})
    modules = json.loads((inside / "modules.json").read_text())
    write(inside / "modules.json", [modules[0] | {"path": "0_Transformer"}, *modules[1:]])
    assert take_in(inside, tmp_path / "early") == SAID
    early = vectors(tmp_path / "early", tmp_path)
    np.testing.assert_array_equal(early, vectors(tmp_path / "new", tmp_path))


def theirs_of_today(old, folder):
    """The same folder as release 6 writes it."""
    shutil.copytree(old, folder)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    write(folder / "tokenizer_config.json", tokenizer | {"model_max_length": 9})
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    write(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": text},
            "module_output_name": "token_embeddings",
        },
    )
    pooling = {"embedding_dimension": 16, "pooling_mode": "cls", "include_prompt": True}
    write(folder / "1_Pooling" / "config.json", pooling)
    same = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
    write(folder / "2_Normalize" / "config.json", same)
    places = ["base.modules.transformer", "sentence_transformer.modules.pooling"]
    modules = json.loads((folder / "modules.json").read_text())
    for module, place in zip(modules, [*places, "base.modules.normalize"], strict=True):
        name = module["type"].rpartition(".")[2]
        module["type"] = f"sentence_transformers.{place}.{name}"
    write(folder / "modules.json", modules)
    saved = json.loads((folder / "config_sentence_transformers.json").read_text())
    saved |= {"model_type": "SentenceTransformer", "prompts": {"query": "the "}}
    write(folder / "config_sentence_transformers.json", saved)
    return folder


DENSE = ("Transformer", "Pooling", "Dense")
NORMALIZED_FIRST = ("Transformer", "Normalize", "Pooling")
WEIGHTED = {"pooling_mode_weightedmean_tokens": True}
PROMPT_LEFT_OUT = CLS | {"include_prompt": False}
OUTSIDE, ABOVE = (
    [
        {"path": path, "type": f"sentence_transformers.models.{step}"}
        for path, step in (("", "Transformer"), (elsewhere, "Pooling"))
    ]
    for elsewhere in ("../x", "..")
)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"steps": ("Transformer",)}, "found the modules Transformer in .*modules.json; wanted"),
        ({"steps": ("Transformer", "Pooling", "LayerNorm")}, "modules Transformer, .*LayerNorm"),
        ({"steps": (*DENSE, "Dense")}, "the modules Transformer, Pooling, Dense, Dense"),
        ({"steps": NORMALIZED_FIRST}, "the modules Transformer, Normalize, Pooling"),
        ({"modules": [{"path": "", "type": "custom.Transformer"}]}, "a module custom.Transformer"),
        ({"modules": {}}, "found an object in .*modules.json; wanted a list"),
        ({"modules": ABOVE}, "found path='..' in .*; wanted the name of a folder"),
        ({"modules": OUTSIDE}, "found path='../x' in .*; wanted the name of a folder"),
        ({"pooling": CLS | WEIGHTED}, "pooling by cls and weightedmean in .*wanted mean or cls al"),
        ({"pooling": WEIGHTED}, "found pooling by weightedmean in"),
        ({"pooling": {"pooling_mode": ["cls", "mean"]}}, "found pooling by cls and mean in"),
        ({"pooling": {"pooling_mode": "lasttoken"}}, "found pooling by lasttoken in"),
        ({"pooling": CLS | {"pooling_mode_new": True}}, "found 'pooling_mode_new' in .*wanted no"),
        (
            {"pooling": PROMPT_LEFT_OUT, "config_sentence_transformers": QUERY},
            "found include_prompt=false in",
        ),
        ({"config_sentence_transformers": {"model_type": "SparseEncoder"}}, "model_type='SparseE"),
        ({"config_sentence_transformers": {"truncate_dim": 8}}, "found truncate_dim=8"),
        ({"config_sentence_transformers": {"default_prompt_name": "q"}}, "the prompt name 'q'"),
        ({"sentence_bert_config": {"transformer_task": "fill-mask"}}, "transformer_task='fill-ma"),
        ({"sentence_bert_config": {"query_length": 32}}, "found query_length=32"),
        ({"sentence_bert_config": {"model_args": {"x": 1}}}, "found model_args.'x' in"),
        ({"sentence_bert_config": {"max_seq_length": 0}}, "found max_seq_length=0"),
        ({"2_Normalize/config": {"module_input_name": "token_embeddings"}}, "module_input_name="),
        ({"steps": DENSE, "pooling": {"pooling_mode": "mean"}}, "found Dense after pooling of 'me"),
        ({"steps": DENSE, "2_Dense/config": {"in_features": 16, "out_features": 8}}, "from 16 to"),
        (
            {"steps": DENSE, "2_Dense/config": {"in_features": 16, "out_features": 16}},
            "found no .*2_Dense.model.safetensors; wanted",
        ),
    ],
)
def test_a_step_that_is_not_here_is_named(theirs, tmp_path, contents, message):
    folder = theirs(**contents)
    with pytest.raises(InputError, match=message):
        take_in(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_folder_that_was_copied_in_part_is_refused(theirs, tmp_path):
    folder = theirs()
    (folder / "modules.json").unlink()
    with pytest.raises(InputError, match=r"found 1_Pooling and no modules.json in"):
        take_in(folder, tmp_path / "ours")
    shutil.rmtree(folder / "1_Pooling")
    assert take_in(folder, tmp_path / "ours") == EmbeddingSettings()


def test_lower_case_that_the_tokenizer_does_not_make(theirs, tmp_path):
    folder = theirs(sentence_bert_config={"max_seq_length": None, "do_lower_case": True})
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=False).save(folder)
    take_in(folder, tmp_path / "ours")
    ids, _ = tokenizers.load(tmp_path / "ours").encode(["The SHIP", "é"])
    assert [VOCABULARY[i] for i in ids] == ["the", "ship", "[UNK]"]  # its accents stay


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_what_leaves_comes_back_with_the_same_vectors(tmp_path, pooling):
    settings = EmbeddingSettings(pooling, pooling != "mean", 9, {"query": "the "}, "query")
    ours = save_ours(tmp_path / "ours", settings)
    out, back = tmp_path / "out", tmp_path / "back"
    export.main(export.Config(model=str(ours), output=str(out), format="huggingface"))
    assert take_in(out, back) == settings
    found = vectors(ours, tmp_path)
    np.testing.assert_array_equal(found, vectors(back, tmp_path))
    if settings.l2_normalize:
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    # The settings are what made the vectors.
    plain = vectors(save_ours(tmp_path / "plain"), tmp_path)
    assert (np.abs(plain - found).max(1) > 1e-3).all()
    flags = {"pooling": pooling, "l2_normalize": settings.l2_normalize, "max_seq_length": 9}
    by_flags = vectors(ours, tmp_path, prompt_name="", **flags)
    np.testing.assert_array_equal(by_flags, vectors(tmp_path / "plain", tmp_path, **flags))


def test_vectors_are_those_of_transformers_pooled_by_hand(tmp_path):
    transformers, torch = map(pytest.importorskip, ("transformers", "torch"))
    ours = save_ours(tmp_path / "ours", SAID)
    out = str(tmp_path / "out")
    export.main(export.Config(model=str(ours), output=out, format="huggingface"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    model = transformers.AutoModel.from_pretrained(out).eval()
    batch = tokenizer(
        ["the " + text for text in TEXTS], truncation=True, padding=True, return_tensors="pt"
    )
    assert batch["input_ids"].shape[1] == tokenizer.model_max_length == 9
    with torch.no_grad():
        states = model(**batch).last_hidden_state[:, 0].numpy()
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors(ours, tmp_path), states, atol=1e-5)


def test_a_model_without_settings_says_how_long_its_texts_are(tmp_path):
    ours, out = save_ours(tmp_path / "ours"), tmp_path / "out"
    hugging_face.write(out, ours)
    assert not (out / "modules.json").exists()
    assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == 20
    assert take_in(out, tmp_path / "back") == EmbeddingSettings()
    hugging_face.write(tmp_path / "short", ours, max_seq_length=9)
    assert take_in(tmp_path / "short", tmp_path / "short_back").max_seq_length == 9


def test_a_similarity_that_was_learned_leaves_with_its_vectors(tmp_path):
    ours, out = tmp_path / "ours", tmp_path / "out"
    task = {"name": "similarity", "max_seq_length": 9, "lowest": 0.0, "highest": 5.0}
    models.save(ours, models.PooledEncoder(CONFIG, False, seed=3), task=task)
    tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True).save(ours)
    export.main(export.Config(model=str(ours), output=str(out), format="huggingface"))
    assert take_in(out, tmp_path / "back") == EmbeddingSettings("mean", True, 9)
    found = vectors(ours, tmp_path)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(found, vectors(tmp_path / "back", tmp_path))


def test_a_function_on_answers_is_told(encoder, tmp_path, caplog):
    folder = shutil.copytree(encoder, tmp_path / "theirs")
    config = json.loads((folder / "config.json").read_text())
    for name, told in (("Sigmoid", True), ("Identity", False)):
        caplog.clear()
        said = {"activation_fn": f"torch.nn.modules.activation.{name}"}
        write(folder / "config.json", config | {"sentence_transformers": said})
        with caplog.at_level(logging.WARNING):
            sentence_transformers.read(folder)
        assert (f"left out {said['activation_fn']}" in caplog.text) == told


def test_a_pooler_that_was_not_trained_does_not_leave(tmp_path):
    ours = save_ours(tmp_path / "ours", EmbeddingSettings("pooler"), pooler=False)
    with pytest.raises(InputError, match="no trained pooler"):
        hugging_face.write(tmp_path / "out", ours)
    assert not (tmp_path / "out").exists()
