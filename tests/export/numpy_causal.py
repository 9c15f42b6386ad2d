"""GPT-2 and Llama in plain NumPy, float64, with the names and layouts of transformers."""

import json
from pathlib import Path

import numpy as np
import safetensors.numpy

SIZES = {
    "gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 24, "n_inner": 40},
    "llama": {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "intermediate_size": 40,
        "max_position_embeddings": 24,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500.0,
    },
}


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attend(query, key, value):
    """[L, N, D] and [L, K, D]: each head looks back; query head n reads key head n K // N."""
    length, heads, size = query.shape
    seen = np.tril(np.ones((length, length), bool))
    out = np.empty_like(query)
    for head in range(heads):
        shared = head * key.shape[1] // heads
        scores = query[:, head] @ key[:, shared].T / np.sqrt(size)
        out[:, head] = softmax(np.where(seen, scores, -np.inf)) @ value[:, shared]
    return out.reshape(length, -1)


class _Model:
    def __init__(self, vocabulary_size: int, seed: int = 0, **config):
        self.config = {"model_type": self.kind, "vocab_size": vocabulary_size} | SIZES[self.kind]
        self.config["architectures"] = [self.architecture]
        self.config |= config
        random = np.random.default_rng(seed)
        self.weights = {
            name: random.normal(1.0 if is_gain(name) else 0.0, 0.3, shape).astype(np.float32)
            for name, shape in self.shapes().items()
        }

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config))
        safetensors.numpy.save_file(self.weights, folder / "model.safetensors", {"format": "pt"})

    def linear(self, x, name):
        kernel = self.weights[f"{name}.weight"].astype(np.float64)
        bias = self.weights.get(f"{name}.bias", np.float32(0))
        return x @ (kernel if self.kind == "gpt2" else kernel.T) + bias

    def greedy(self, ids: list[int], count: int) -> list[int]:
        """The `count` likeliest tokens after `ids`, one after the other."""
        ids = list(ids)
        for _ in range(count):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids[-count:]


def is_gain(name: str) -> bool:
    return name.endswith("norm.weight") or ".ln_" in name and name.endswith("weight")


class NumpyGpt2(_Model):
    kind, architecture = "gpt2", "GPT2LMHeadModel"

    def shapes(self) -> dict:
        c = self.config
        hidden, wide = c["n_embd"], c["n_inner"]
        shapes = {"wte.weight": (c["vocab_size"], hidden), "wpe.weight": (c["n_positions"], hidden)}
        for i in range(c["n_layer"]):
            dense = {
                "attn.c_attn": (hidden, 3 * hidden),
                "attn.c_proj": (hidden, hidden),
                "mlp.c_fc": (hidden, wide),
                "mlp.c_proj": (wide, hidden),
            }
            for name, shape in dense.items():
                shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[1:]}
            for name in ("ln_1", "ln_2"):
                shapes |= {f"h.{i}.{name}.{end}": (hidden,) for end in ("weight", "bias")}
        shapes |= {f"ln_f.{end}": (hidden,) for end in ("weight", "bias")}
        shapes = {f"transformer.{name}": shape for name, shape in shapes.items()}
        if not c.get("tie_word_embeddings", True):
            shapes["lm_head.weight"] = (c["vocab_size"], hidden)
        return shapes

    def norm(self, x, name):
        name, x = f"transformer.{name}", x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def logits(self, ids) -> np.ndarray:
        """[L] to [L, V]."""
        weights, heads = self.weights, self.config["n_head"]
        token = weights["transformer.wte.weight"].astype(np.float64)
        x = token[ids] + weights["transformer.wpe.weight"][: len(ids)]
        for i in range(self.config["n_layer"]):
            name = f"transformer.h.{i}"
            mixed = self.linear(self.norm(x, f"h.{i}.ln_1"), f"{name}.attn.c_attn")
            query, key, value = (
                part.reshape(len(ids), heads, -1) for part in np.split(mixed, 3, -1)
            )
            x = x + self.linear(attend(query, key, value), f"{name}.attn.c_proj")
            y = self.linear(self.norm(x, f"h.{i}.ln_2"), f"{name}.mlp.c_fc")
            y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
            x = x + self.linear(y, f"{name}.mlp.c_proj")
        return self.norm(x, "ln_f") @ weights.get("lm_head.weight", token).T


class NumpyLlama(_Model):
    kind, architecture = "llama", "LlamaForCausalLM"

    def shapes(self) -> dict:
        c = self.config
        hidden, wide, heads = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"]
        shared = hidden // heads * c["num_key_value_heads"]
        shapes = {"embed_tokens.weight": (c["vocab_size"], hidden), "norm.weight": (hidden,)}
        for i in range(c["num_hidden_layers"]):
            dense = {
                "self_attn.q_proj": (hidden, hidden),
                "self_attn.k_proj": (shared, hidden),
                "self_attn.v_proj": (shared, hidden),
                "self_attn.o_proj": (hidden, hidden),
                "mlp.gate_proj": (wide, hidden),
                "mlp.up_proj": (wide, hidden),
                "mlp.down_proj": (hidden, wide),
            }
            for name, shape in dense.items():
                shapes[f"layers.{i}.{name}.weight"] = shape
                if c.get("attention_bias") and c.get("mlp_bias"):
                    shapes[f"layers.{i}.{name}.bias"] = shape[:1]
            for name in ("input_layernorm", "post_attention_layernorm"):
                shapes[f"layers.{i}.{name}.weight"] = (hidden,)
        shapes = {f"model.{name}": shape for name, shape in shapes.items()}
        if not c.get("tie_word_embeddings", False):
            shapes["lm_head.weight"] = (c["vocab_size"], hidden)
        return shapes

    def norm(self, x, name):
        square = (x**2).mean(-1, keepdims=True)
        x = x / np.sqrt(square + self.config["rms_norm_eps"])
        return x * self.weights[f"model.{name}.weight"]

    def turned(self, x):
        """Rotary positions: [L, N, D], as D/2 complex numbers."""
        half = x.shape[-1] // 2
        pairs = x[..., :half] + 1j * x[..., half:]
        frequencies = float(self.config["rope_theta"]) ** (-np.arange(half) / half)
        pairs = pairs * np.exp(1j * np.outer(np.arange(len(x)), frequencies))[:, None]
        return np.concatenate([pairs.real, pairs.imag], -1)

    def logits(self, ids) -> np.ndarray:
        """[L] to [L, V]."""
        c = self.config
        size = c["hidden_size"] // c["num_attention_heads"]
        token = self.weights["model.embed_tokens.weight"].astype(np.float64)
        x = token[ids]
        for i in range(c["num_hidden_layers"]):
            name = f"model.layers.{i}"
            y = self.norm(x, f"layers.{i}.input_layernorm")
            query, key, value = (
                self.linear(y, f"{name}.self_attn.{part}_proj").reshape(len(ids), -1, size)
                for part in "qkv"
            )
            y = attend(self.turned(query), self.turned(key), value)
            x = x + self.linear(y, f"{name}.self_attn.o_proj")
            y = self.norm(x, f"layers.{i}.post_attention_layernorm")
            gate = self.linear(y, f"{name}.mlp.gate_proj")
            y = gate / (1 + np.exp(-gate)) * self.linear(y, f"{name}.mlp.up_proj")
            x = x + self.linear(y, f"{name}.mlp.down_proj")
        return self.norm(x, "norm") @ self.weights.get("lm_head.weight", token).T
