"""Hugging Face's BERT in NumPy: random weights by the names of its files, and their outputs.

Where transformers and PyTorch are installed, `test_numpy_bert.py` compares the two.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import safetensors.numpy

from tests.models.oracle import gelu, gelu_tanh, softmax

ACTIVATIONS = {"gelu": gelu, "gelu_new": gelu_tanh}
HEADS = {
    "BertModel": (),
    "BertForPreTraining": ("predictions", "seq_relationship"),
    "BertForMaskedLM": ("predictions",),
    "BertForSequenceClassification": ("classifier",),
    "BertForMultipleChoice": ("classifier",),
    "BertForTokenClassification": ("classifier",),
    "BertForQuestionAnswering": ("qa_outputs",),
}
WITHOUT_POOLER = {"BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering"}
DEFAULTS = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "is_decoder": False,
    "layer_norm_eps": 1e-12,
    "model_type": "bert",
    "pad_token_id": 0,
    "type_vocab_size": 2,
}


def shapes(architecture: str, config: dict) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights by name; a linear layer's is [outputs, inputs]."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    found = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name: str) -> None:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (width,)

    prefix = "" if architecture == "BertModel" else "bert."
    for name, rows in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
        ("token_type", config["type_vocab_size"]),
    ):
        found[f"{prefix}embeddings.{name}_embeddings.weight"] = (rows, width)
    norm(f"{prefix}embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"{prefix}encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", width, width)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", width, inner)
        linear(f"{layer}.output.dense", inner, width)
        norm(f"{layer}.output.LayerNorm")
    if architecture not in WITHOUT_POOLER:
        linear(f"{prefix}pooler.dense", width, width)
    heads = HEADS[architecture]
    if "predictions" in heads:
        linear("cls.predictions.transform.dense", width, width)
        norm("cls.predictions.transform.LayerNorm")
        found["cls.predictions.bias"] = (config["vocab_size"],)
    if "seq_relationship" in heads:
        linear("cls.seq_relationship", width, 2)
    if "classifier" in heads:
        labels = 1 if architecture == "BertForMultipleChoice" else num_labels(config)
        linear("classifier", width, labels)
    if "qa_outputs" in heads:
        linear("qa_outputs", width, 2)
    return found


def num_labels(config: dict) -> int:
    return len(config.get("id2label", (0, 1)))


class NumpyBert:
    """A model of random weights.

    Attributes:
        architecture: its name in transformers, one of `HEADS`.
        config: what `config.json` says.
        weights: by the names of `model.safetensors`.
    """

    def __init__(self, architecture: str, weights: dict | None = None, **config):
        if labels := config.pop("num_labels", None):
            config["id2label"] = {i: f"LABEL_{i}" for i in range(labels)}
        if names := config.get("id2label"):
            config["id2label"] = {str(i): name for i, name in names.items()}
            config["label2id"] = {name: int(i) for i, name in names.items()}
        self.architecture = architecture
        self.config = DEFAULTS | {"architectures": [architecture]} | config
        rng, wanted = np.random.default_rng(0), shapes(architecture, self.config)
        self.weights = weights or {
            name: rng.normal("LayerNorm.weight" in name, 0.3, shape).astype(np.float32)
            for name, shape in wanted.items()
        }
        found = {name: array.shape for name, array in self.weights.items()}
        assert found == wanted  # all that the architecture has, and no more

    @classmethod
    def load(cls, folder: Path) -> "NumpyBert":
        """The model of a folder; what `config.json` leaves out is as transformers has it."""
        config = json.loads((folder / "config.json").read_text())
        [architecture] = config.pop("architectures")
        weights = safetensors.numpy.load_file(folder / "model.safetensors")
        names = {int(i): name for i, name in config.pop("id2label", {}).items()}
        named = {"id2label": names} if names else {}
        return cls(architecture, weights, **config, **named)

    def save(self, folder: Path) -> None:
        """Writes `config.json` and `model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=2))
        safetensors.numpy.save_file(self.weights, folder / "model.safetensors", {"format": "pt"})

    def _encoder(self, name: str) -> np.ndarray:
        return self.weights[("" if self.architecture == "BertModel" else "bert.") + name]

    def _linear(self, x, name: str, get=None):
        get = get or self.weights.__getitem__
        return x @ get(f"{name}.weight").T + get(f"{name}.bias")

    def _norm(self, x, name: str, get=None):
        get = get or self.weights.__getitem__
        normal = x - x.mean(-1, keepdims=True)
        normal /= np.sqrt(x.var(-1, keepdims=True) + self.config["layer_norm_eps"])
        return normal * get(f"{name}.weight") + get(f"{name}.bias")

    def _hidden_states(self, token_ids, segment_ids, padding_mask):
        """[B, L] ids, segments and mask to [B, L, D]."""
        get, act = self._encoder, ACTIVATIONS[self.config["hidden_act"]]
        batch, length = token_ids.shape
        heads = self.config["num_attention_heads"]
        x = get("embeddings.word_embeddings.weight")[token_ids].astype(np.float64)
        x += get("embeddings.position_embeddings.weight")[:length]
        x += get("embeddings.token_type_embeddings.weight")[segment_ids]
        x = self._norm(x, "embeddings.LayerNorm", get)
        for i in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}"
            query, key, value = (
                self._linear(x, f"{layer}.attention.self.{part}", get)
                .reshape(batch, length, heads, -1)
                .transpose(0, 2, 1, 3)
                for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(query.shape[-1])
            scores = np.where(padding_mask[:, None, None, :], scores, -1e9)
            seen = (softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(batch, length, -1)
            seen = self._linear(seen, f"{layer}.attention.output.dense", get)
            x = self._norm(x + seen, f"{layer}.attention.output.LayerNorm", get)
            inner = act(self._linear(x, f"{layer}.intermediate.dense", get))
            inner = self._linear(inner, f"{layer}.output.dense", get)
            x = self._norm(x + inner, f"{layer}.output.LayerNorm", get)
        return x

    def __call__(self, features: dict) -> SimpleNamespace:
        """What transformers gives by the same names, of features as this package names them."""
        names = ("token_ids", "segment_ids", "padding_mask")
        x = self._hidden_states(*(np.asarray(features[name]) for name in names))
        outputs = SimpleNamespace(last_hidden_state=x)
        if self.architecture not in WITHOUT_POOLER:
            first = x[:, 0]
            outputs.pooler_output = np.tanh(self._linear(first, "pooler.dense", self._encoder))
        heads = HEADS[self.architecture]
        if "predictions" in heads:
            act = ACTIVATIONS[self.config["hidden_act"]]
            y = act(self._linear(x, "cls.predictions.transform.dense"))
            y = self._norm(y, "cls.predictions.transform.LayerNorm")
            y = y @ self._encoder("embeddings.word_embeddings.weight").T
            outputs.logits = outputs.prediction_logits = y + self.weights["cls.predictions.bias"]
        if "seq_relationship" in heads:
            logits = self._linear(outputs.pooler_output, "cls.seq_relationship")
            outputs.seq_relationship_logits = logits
        if "classifier" in heads:
            of_text = self.architecture not in WITHOUT_POOLER
            outputs.logits = self._linear(outputs.pooler_output if of_text else x, "classifier")
        if "qa_outputs" in heads:
            logits = self._linear(x, "qa_outputs")
            outputs.start_logits, outputs.end_logits = logits[..., 0], logits[..., 1]
        return outputs
