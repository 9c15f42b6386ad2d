"""ELECTRA as transformers saves it, of random weights, and what it makes of them.

`electra.json` beside this file holds names and shapes of the weights and the numbers that PyTorch
gives, so that tests need no PyTorch. Written by transformers 5.24.0 and torch 2.13.0 with

    python -m tests.export.theirs_electra

in an environment that has these two, NumPy and safetensors.
"""

import json
from pathlib import Path

import numpy as np
import safetensors.numpy

PATH = Path(__file__).with_name("electra.json")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "the"]
CONFIG = {
    "model_type": "electra", "architectures": ["ElectraForPreTraining"], "embedding_size": 16,
    "vocab_size": len(VOCABULARY), "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 24, "max_position_embeddings": 20,
    "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02,
}  # fmt: skip


def weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Random weights of given names and shapes, so large that one in a wrong place shows."""
    draw, found = np.random.default_rng(1), {}
    for name in sorted(shapes):
        mean, scale = (1.0, 0.3) if name.endswith("LayerNorm.weight") else (0.0, 0.4)
        found[name] = draw.normal(mean, scale, shapes[name]).astype(np.float32)
    return found


def batch() -> dict[str, np.ndarray]:
    """Three rows in two segments, padded to different lengths."""
    lengths, place = np.array([[20], [13], [7]]), np.arange(20)
    inside = place < lengths
    ids = np.random.default_rng(2).integers(5, len(VOCABULARY), inside.shape)
    return {
        "token_ids": np.where(inside, ids, 0),
        "segment_ids": ((place >= lengths // 2) & inside).astype(int),
        "padding_mask": inside,
    }


def save(folder: Path, shapes: dict[str, list[int]], **changes) -> dict[str, np.ndarray]:
    """Writes a folder as transformers has it; gives the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY))
    found = weights(shapes)
    safetensors.numpy.save_file(found, folder / "model.safetensors", {"format": "pt"})
    return found


def main() -> None:
    """Writes the file."""
    import tempfile

    import torch
    import transformers

    empty = transformers.ElectraForPreTraining(transformers.ElectraConfig(**CONFIG))
    shapes = {name: list(array.shape) for name, array in empty.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), shapes)
        model = transformers.ElectraForPreTraining.from_pretrained(folder).eval()
    features = {name: torch.tensor(array) for name, array in batch().items()}
    with torch.no_grad():
        found = model(
            input_ids=features["token_ids"],
            token_type_ids=features["segment_ids"],
            attention_mask=features["padding_mask"].long(),
            output_hidden_states=True,
        )
    numbers = {"states": found.hidden_states[-1], "logits": found.logits}
    rounded = {name: np.round(array.numpy(), 6).tolist() for name, array in numbers.items()}
    PATH.write_text(json.dumps({"shapes": shapes} | rounded, separators=(",", ":")))


if __name__ == "__main__":
    main()
