"""Model folders of random weights, large ones, and what their models say of rows."""

from pathlib import Path

import numpy as np

from roots_tf import models, tokenizers
from tests.export.conftest import VOCABULARY

LABELS = ("no", "perhaps", "yes")
TAGS = ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
PARTS = {  # fields of `EncoderConfig`
    "bert": {},
    "modern": models.preset_fields("modern") | {"window": 8, "global_every": 2},
    "tanh": {"activation": "gelu_tanh", "num_segments": 1},
    "llama": models.preset_fields("llama") | {"num_key_value_heads": 2},
    "t5": models.preset_fields("t5") | {"relative_buckets": 8, "relative_distance": 12},
    "transformer": models.preset_fields("transformer"),
    "own": models.preset_fields("modern")
    | {"query_key_norm": True, "masked_logit_cap": 3.0, "activation": "relu_squared"},
    "gpt2": models.preset_fields("gpt2") | {"causal": True, "num_segments": 2},
}
REGRESSION = {"mean": 30.0, "deviation": 12.5}
TASKS = {  # the model's name in `make`, and its task
    "encoder": ("encoder", None),
    "pretrainer": ("pretrainer", None),
    "classification": ("classifier", {"labels": LABELS}),
    "pairs": ("classifier", {"name": "classification", "labels": LABELS, "pairs": True}),
    "windows": ("classifier", {"name": "classification", "labels": LABELS, "stride": 7}),
    "regression": ("number", REGRESSION),
    "tagging": ("tagger", {"labels": TAGS}),
    "question_answering": ("spans", {"max_seq_length": 96}),
    "multiple_choice": ("number", {"num_choices": 3}),
    "similarity": ("encoder", {"lowest": 1.0, "highest": 5.0}),
    "contrastive": ("encoder", {"pooling": "cls", "text_prompt": "the "}),
}


def make(name: str, config: models.EncoderConfig):
    """The model of a name in `TASKS`."""
    return {
        "encoder": lambda: models.PooledEncoder(config, seed=1),
        "pretrainer": lambda: models.Pretrainer(config, seed=1),
        "classifier": lambda: models.Classifier(config, 3, seed=1),
        "number": lambda: models.Classifier(config, 1, seed=1),
        "tagger": lambda: models.TokenClassifier(config, 5, seed=1),
        "spans": lambda: models.TokenClassifier(config, 2, seed=1),
    }[name]()


def save(folder: Path, name: str = "classification", parts: str = "bert", length: int = 24) -> Path:
    """Saves the model of a task, and gives the folder."""
    tokenizer = tokenizers.tokenizer.wordpiece(VOCABULARY, lowercase=True)
    length = 96 if name == "question_answering" else length
    fields = {"initializer_range": 0.3} | PARTS[parts]
    config = models.EncoderConfig(
        vocabulary_size=tokenizer.size, num_layers=3, hidden_dim=32, num_heads=4,
        intermediate_dim=64, max_sequence_length=length, **fields,
    )  # fmt: skip
    model, task = TASKS[name]
    described = {}
    if task is not None:
        described = {"task": {"name": name, "max_seq_length": length} | task}
        described["labels"] = task.get("labels", ())
    models.save(folder, make(model, config), **described)
    tokenizer.save(folder)
    return folder


def expected(folder: Path, features: dict) -> dict[str, np.ndarray]:
    """What the Python model says, by the definitions in the tasks."""
    model = models.load(folder)
    if not hasattr(model, "num_labels"):
        rows = zip(model.encoder(features).numpy(), features["padding_mask"].numpy(), strict=True)
        return {"embedding": np.stack([states[inside].mean(0) for states, inside in rows])}
    logits = model(features).numpy()
    if models.describe(folder)["task"]["name"] == "regression":
        return {"value": logits[:, 0] * REGRESSION["deviation"] + REGRESSION["mean"]}
    return {"logits": logits}
