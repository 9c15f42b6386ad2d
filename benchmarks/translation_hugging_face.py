"""Trains a BART or Marian by Hugging Face's `Seq2SeqTrainer` as `benchmarks/translation.py` asks.

    python -c "$(cat benchmarks/translation_hugging_face.py)" spec.json answers.json

Needs torch, transformers 5 and accelerate, and nothing of this package: sources and targets are
ids. Writes the ids that beams of 5 find for the test sources.
"""

import json
import os
import sys
import tempfile

import torch
import transformers
from transformers.utils import logging as transformers_logging


def make_model(spec):
    transformers.set_seed(0)
    sizes = {
        f"{half}_{name}": spec[key]
        for half in ("encoder", "decoder")
        for name, key in (
            *(("layers", "layers"), ("attention_heads", "heads"), ("ffn_dim", "intermediate")),
        )
    }
    marian = spec["preset"] == "transformer"
    make_config = transformers.MarianConfig if marian else transformers.BartConfig
    config = make_config(
        vocab_size=spec["size"],
        d_model=spec["hidden"],
        activation_function="relu" if marian else "gelu",
        dropout=spec["dropout"],
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=marian,
        share_encoder_decoder_embeddings=True,
        max_position_embeddings=128,
        pad_token_id=spec["pad_id"],
        bos_token_id=spec["bos_id"],
        eos_token_id=spec["eos_id"],
        decoder_start_token_id=spec["bos_id"],
        forced_eos_token_id=None,
        **sizes,
    )
    if marian:
        return transformers.MarianMTModel(config)
    return transformers.BartForConditionalGeneration(config)


def padded(rows, pad):
    longest = max(map(len, rows))
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])


class Collator:
    def __init__(self, spec):
        self.spec = spec

    def __call__(self, rows):
        sources = padded([row["input_ids"] for row in rows], self.spec["pad_id"])
        labels = padded([row["labels"] for row in rows], -100)
        before = labels.masked_fill(labels == -100, self.spec["pad_id"])[:, :-1]
        start = torch.full([len(rows), 1], self.spec["bos_id"])
        return {
            "input_ids": sources,
            "attention_mask": (sources != self.spec["pad_id"]).long(),
            "labels": labels,
            "decoder_input_ids": torch.cat([start, before], 1),
        }


def train(spec, model, rows, folder):
    arguments = transformers.Seq2SeqTrainingArguments(
        output_dir=folder,
        max_steps=spec["updates"],
        per_device_train_batch_size=spec["batch_size"],
        learning_rate=spec["learning_rate"],
        lr_scheduler_type=spec["schedule"],
        warmup_steps=spec["warmup_steps"],
        weight_decay=0.01,
        adam_epsilon=spec["epsilon"],
        max_grad_norm=1.0,
        label_smoothing_factor=spec["label_smoothing"],
        optim="adamw_torch",
        train_sampling_strategy="group_by_length",  # as ours
        seed=0,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
    )
    trainer = transformers.Seq2SeqTrainer(
        model, arguments, train_dataset=rows, data_collator=Collator(spec)
    )
    trainer.train()
    return trainer.model.eval()


@torch.no_grad()
def answers_of(spec, model, sources):
    order = sorted(range(len(sources)), key=lambda place: len(sources[place]))
    found = [None] * len(sources)
    for begin in range(0, len(order), 32):
        places = order[begin : begin + 32]
        ids = padded([sources[place] for place in places], spec["pad_id"])
        written = model.generate(
            input_ids=ids,
            attention_mask=(ids != spec["pad_id"]).long(),
            num_beams=5,
            length_penalty=1.0,
            max_new_tokens=100,
        )
        for place, row in zip(places, written.tolist(), strict=True):
            row = row[1:]
            ends = {spec["eos_id"], spec["pad_id"]}
            found[place] = row[: next((i for i, t in enumerate(row) if t in ends), len(row))]
    return found


def main(spec_path, answers_path):
    with open(spec_path, encoding="utf-8") as file:
        spec = json.load(file)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers_logging.set_verbosity_error()
    ends = [spec["eos_id"]]
    begins = [spec["bos_id"]]
    pairs = zip(spec["train_sources"], spec["train_targets"], strict=True)
    rows = [{"input_ids": begins + one + ends, "labels": other + ends} for one, other in pairs]
    model = make_model(spec)
    with tempfile.TemporaryDirectory() as folder:
        model = train(spec, model, rows, folder)
    sources = [begins + ids + ends for ids in spec["test_sources"]]
    with open(answers_path, "w", encoding="utf-8") as file:
        json.dump(answers_of(spec, model, sources), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
