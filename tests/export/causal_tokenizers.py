"""Tokenizers of causal models, small, in the files of transformers."""

import json
from pathlib import Path

import tokenizers as backends
from tokenizers import decoders, normalizers, pre_tokenizers

MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("s", "h"), ("i", "p"), ("sh", "ip")]
END = "<|endoftext|>"


def byte_level_vocabulary() -> dict[str, int]:
    """GPT-2's kind: bytes, merged pieces, and last the end of text."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, MERGES), END]
    return {token: i for i, token in enumerate(tokens)}


def save_pair(folder: Path) -> None:
    """`vocab.json` and `merges.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(byte_level_vocabulary()))
    lines = ["#version: 0.2", *map(" ".join, MERGES)]
    (folder / "merges.txt").write_text("".join(f"{line}\n" for line in lines))


def save_gpt2(folder: Path) -> int:
    """`tokenizer.json` of byte-level BPE; the number of its tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = byte_level_vocabulary()
    backend = backends.Tokenizer(backends.models.BPE(vocabulary, MERGES))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([END])
    backend.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(vocabulary)


def save_llama(folder: Path) -> int:
    """`tokenizer.json` of BPE with byte fallback, as Llama 2 has it; the number of its tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    tokens += [*"▁abcdefghijklmnopqrstuvwxyz.", "th", "the", "▁the", "sh", "ip", "ship"]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("s", "h"), ("i", "p"), ("sh", "ip")]
    model = backends.models.BPE(
        {token: i for i, token in enumerate(tokens)},
        merges,
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    backend = backends.Tokenizer(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(tokens)
