"""Encoder-decoders as transformers saves them, of random weights, and what it makes of them.

`encoder_decoders.json` beside this file holds names and shapes of the weights and the numbers that
PyTorch gives, so that tests need no PyTorch. Written by transformers 5.24.0 and torch 2.13.0 with

    python -m tests.export.theirs_encoder_decoders

in an environment that has these two, NumPy and safetensors.
"""

import json
from pathlib import Path

import numpy as np
import safetensors.numpy
import tokenizers as backends
from tokenizers import decoders, normalizers, pre_tokenizers, processors

PATH = Path(__file__).with_name("encoder_decoders.json")
SOURCES, TARGET, NEW_TOKENS = (38, 21), 9, 14
AHEAD = (-600, 601)
# Every ninth place and every fifth number of states are kept.
KEPT = (slice(None), slice(None, None, 9), slice(None, None, 5))
_T5 = {
    "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 24, "d_kv": 10,
    "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3, "n_positions": 48,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20,
    "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "dropout_rate": 0.2,
}  # fmt: skip
_BART = {
    "d_model": 24, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 40, "decoder_ffn_dim": 32,
    "max_position_embeddings": 48, "forced_eos_token_id": None, "dropout": 0.2,
    "attention_dropout": 0.1, "activation_dropout": 0.0,
}  # fmt: skip
_OF_BART = _BART | {
    "model_type": "bart", "architectures": ["BartForConditionalGeneration"], "bos_token_id": 0,
    "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2,
}  # fmt: skip
KINDS = {
    "t5": _T5 | {"feed_forward_proj": "relu"},
    "t5 1.1": _T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "bart": _OF_BART | {"activation_function": "gelu"},
    "bart scaled": _OF_BART
    | {"activation_function": "relu", "scale_embedding": True, "forced_bos_token_id": 0},
    "marian": _BART
    | {
        "model_type": "marian", "architectures": ["MarianMTModel"], "activation_function": "swish",
        "scale_embedding": True, "eos_token_id": 0,
    },
}  # fmt: skip
BEAMS = ({"length_penalty": 1.0}, {"length_penalty": 0.0}, {"length_penalty": 2.0, "early": True})
BEAMS += ({"length_penalty": 2.0, "forces_end": True},)
_PIECES = [f"▁{letter}" for letter in "abcdefgh"] + [*"abcdefghijklmnop", "▁", "th", "▁the"]


def unigram(pieces: list[str], special: list[str], row: str) -> backends.Tokenizer:
    """As T5's and Marian's: pieces in the order of ids, `<unk>` among them, and rows."""
    scores = [0.0 if piece in special else -3.0 - 0.1 * i for i, piece in enumerate(pieces)]
    model = backends.models.Unigram(
        list(zip(pieces, scores, strict=True)), unk_id=pieces.index("<unk>")
    )
    backend = backends.Tokenizer(model)
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    backend.add_special_tokens(special)
    _add_rows(backend, row)
    return backend


def byte_level() -> backends.Tokenizer:
    """As BART's."""
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the")]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    model = backends.models.BPE({token: i for i, token in enumerate([*tokens, "<mask>"])}, merges)
    backend = backends.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([*special, backends.AddedToken("<mask>", lstrip=True)])
    _add_rows(backend, "<s> $A </s>")
    return backend


def _add_rows(backend: backends.Tokenizer, row: str) -> None:
    special = [(token, backend.token_to_id(token)) for token in row.split() if token != "$A"]
    backend.post_processor = processors.TemplateProcessing(single=row, special_tokens=special)


def tokenizer(kind: str) -> backends.Tokenizer:
    """That of a kind, as `tokenizer.json` holds it."""
    if kind.startswith("bart"):
        return byte_level()
    if kind == "marian":  # the padding is last
        return unigram(["</s>", "<unk>", *_PIECES, "<pad>"], ["</s>", "<unk>", "<pad>"], "$A </s>")
    sentinels = [f"<extra_id_{i}>" for i in (3, 2, 1, 0)]
    special = ["<pad>", "</s>", "<unk>"]
    return unigram([*special, *_PIECES, *sentinels], special + sentinels, "$A </s>")


def config(kind: str) -> dict:
    """What `config.json` says of a kind."""
    size = tokenizer(kind).get_vocab_size()
    of_size = {"vocab_size": size}
    if kind == "marian":
        of_size |= {"pad_token_id": size - 1, "decoder_start_token_id": size - 1}
    return KINDS[kind] | of_size


def weights(kind: str, shapes: dict[str, list[int]], seed: int = 1) -> dict[str, np.ndarray]:
    """Random weights of given names and shapes, so large that one in a wrong place shows.

    Positions count for more than tokens, and the end for more than others, so that texts vary.
    """
    draw = np.random.default_rng(seed)
    found = {}
    for name in sorted(shapes):
        is_gain = name.endswith("norm.weight") or name.endswith("norm_embedding.weight")
        mean, scale = (1.0, 0.3) if is_gain else (0.0, 0.5)
        scale = 0.1 if name.endswith("bias") else scale
        scale = 1.5 if "embed_positions" in name or "relative" in name else scale
        found[name] = draw.normal(mean, scale, shapes[name]).astype(np.float32)
        if name.endswith(("shared.weight", "lm_head.weight")):
            found[name][config(kind)["eos_token_id"]] *= 1.5
    return found


def batch(kind: str) -> dict[str, np.ndarray]:
    """Two padded sources and their targets, from the start of a target on."""
    said = config(kind)
    draw = np.random.default_rng(3)
    inside = np.arange(max(SOURCES)) < np.array(SOURCES)[:, None]
    source = np.where(inside, draw.integers(4, said["vocab_size"] - 1, inside.shape), 0)
    target = draw.integers(4, said["vocab_size"] - 1, [len(SOURCES), TARGET])
    target[:, 0] = said["decoder_start_token_id"]
    return {"source": source, "inside": inside, "target": target}


def save(folder: Path, kind: str, shapes: dict[str, list[int]], **changes) -> dict:
    """Writes a folder as transformers has it; gives the weights. `...` takes a key out."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {key: value for key, value in (config(kind) | changes).items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(said))
    tokenizer(kind).save(str(folder / "tokenizer.json"))
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | names)
    )
    found = weights(kind, shapes)
    safetensors.numpy.save_file(found, folder / "model.safetensors", {"format": "pt"})
    return found


def made_by_transformers(folder: Path, kind: str) -> dict:
    """Shapes, states and texts of a kind. Needs PyTorch."""
    import torch
    import transformers

    empty = transformers.AutoConfig.for_model(**config(kind))
    model = transformers.AutoModelForSeq2SeqLM.from_config(empty)
    shapes = {}
    for name, array in model.state_dict().items():
        if not name.endswith(("embed_tokens.weight", "lm_head.weight")) or (
            kind == "t5 1.1" and name == "lm_head.weight"
        ):
            shapes[name] = list(array.shape)
    if kind == "marian":
        shapes = {n: s for n, s in shapes.items() if not n.endswith("embed_positions.weight")}
    save(folder, kind, shapes)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    features = {name: torch.tensor(array) for name, array in batch(kind).items()}
    inputs = {"input_ids": features["source"], "attention_mask": features["inside"].long()}
    # With a cache, a T5 of more layers in the decoder than in the encoder fails there.
    common = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "use_cache": False}
    common["suppress_tokens"] = [config(kind)["pad_token_id"]]  # which no text has here
    with torch.no_grad():
        encoded = model.get_encoder()(**inputs).last_hidden_state
        decoded = model.get_decoder()(
            input_ids=features["target"],
            encoder_hidden_states=encoded,
            encoder_attention_mask=inputs["attention_mask"],
            use_cache=False,
        ).last_hidden_state
        logits = model(**inputs, decoder_input_ids=features["target"], use_cache=False).logits
        greedy = model.generate(**inputs, **common, num_beams=1)
    states = {
        "encoder": encoded[KEPT].numpy(),
        "decoder": decoded[KEPT].numpy(),
        "logits": logits[KEPT].numpy(),
    }
    beams = []
    for asked in BEAMS:
        with torch.no_grad():
            found = model.generate(
                **inputs, **common, num_beams=4, num_return_sequences=3,
                length_penalty=asked["length_penalty"],
                early_stopping=True if asked.get("early") else "never",
                forced_eos_token_id=config(kind)["eos_token_id"] if "forces_end" in asked else None,
                return_dict_in_generate=True, output_scores=True,
            )  # fmt: skip
        scores = [round(float(score), 5) for score in found.sequences_scores]
        beams.append({"ids": found.sequences.tolist(), "scores": scores})
    rounded = {name: np.round(array, 5).tolist() for name, array in states.items()}
    return {"shapes": shapes, "greedy": greedy.tolist(), "beams": beams} | rounded


def buckets() -> dict[str, list[int]]:
    """Numbers of the distances of `AHEAD`, of an encoder and a decoder. Needs PyTorch."""
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    bucket = T5Attention._relative_position_bucket
    return {
        stack: bucket(torch.arange(*AHEAD), stack == "encoder", 32, 128).tolist()
        for stack in ("encoder", "decoder")
    }


def main() -> None:
    """Writes the file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = {kind: made_by_transformers(Path(folder, kind), kind) for kind in KINDS}
    made["buckets"] = buckets()
    PATH.write_text(json.dumps(made, separators=(",", ":")).replace('"shapes"', '\n"shapes"'))


if __name__ == "__main__":
    main()
