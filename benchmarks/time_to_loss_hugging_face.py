"""Pretrains a `BertForMaskedLM` under `Trainer` as `benchmarks/time_to_loss.py` asks.

    python -c "$(cat benchmarks/time_to_loss_hugging_face.py)" folder curve.json

Needs torch, transformers 5 and accelerate, and nothing of this package: rows are ids. Writes pairs
of minutes and held-out loss; the minutes are those of training, without what is asked of held-out
rows. The model stands beside them, in a folder of that name.
"""

import glob
import json
import os
import sys
import tempfile
import time

import numpy as np
import torch
import transformers
from transformers.utils import logging as transformers_logging

BEGAN = time.monotonic()
PROBE = 10  # updates by which the length of the schedule is chosen


class Masking:
    """15 % of tokens, 80 % of them [MASK], 10 % others: as `DataCollatorForLanguageModeling`."""

    def __init__(self, spec):
        self.spec = spec
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, rows):
        ids = torch.tensor(np.stack([row["input_ids"] for row in rows]).astype(np.int64))
        special = torch.isin(ids, torch.tensor(self.spec["special_ids"]))
        draw = torch.rand(ids.shape, generator=self.generator)
        chosen = (draw < 0.15) & ~special
        labels = torch.where(chosen, ids, -100)
        inputs = torch.where(chosen & (draw < 0.12), self.spec["mask_id"], ids)
        others = torch.randint(self.spec["vocabulary_size"], ids.shape, generator=self.generator)
        inputs = torch.where(chosen & (draw >= 0.12) & (draw < 0.135), others, inputs)
        mask = (ids != self.spec["pad_id"]).long()
        return {"input_ids": inputs, "attention_mask": mask, "labels": labels}


class Asking(transformers.TrainerCallback):
    """Asks the model for the held-out tokens every so many updates; stops the clock for it."""

    def __init__(self, folder):
        paths = sorted(glob.glob(f"{folder}/held_out-*.npz"))
        self.batches = [dict(np.load(path)) for path in paths]
        self.curve, self.asked, self.every = [], 0.0, 1

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step % self.every == 0 or state.global_step == args.max_steps:
            began = time.monotonic()
            minutes = (began - BEGAN - self.asked) / 60
            self.curve.append((minutes, self.loss(model)))
            self.asked += time.monotonic() - began
            print("hugging face", *self.curve[-1], file=sys.stderr, flush=True)

    @torch.no_grad()
    def loss(self, model):
        model.eval()
        total = count = 0.0
        for batch in self.batches:
            ids = torch.from_numpy(batch["token_ids"]).long()
            mask = torch.from_numpy(batch["padding_mask"]).long()
            logits = model(input_ids=ids, attention_mask=mask).logits
            rows, columns = batch["masked_lm_weights"].nonzero()
            labels = torch.from_numpy(batch["masked_lm_ids"][rows, columns]).long()
            found = logits[rows, batch["masked_lm_positions"][rows, columns]]
            total += torch.nn.functional.cross_entropy(found, labels, reduction="sum").item()
            count += len(labels)
        model.train()
        return total / count


def train(spec, rows, steps, callback=None):
    transformers.set_seed(0)
    model = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=spec["vocabulary_size"],
            hidden_size=spec["hidden_dim"],
            num_hidden_layers=spec["num_layers"],
            num_attention_heads=spec["num_heads"],
            intermediate_size=spec["intermediate_dim"],
            max_position_embeddings=spec["length"],
            pad_token_id=spec["pad_id"],
        )
    )
    tuned = {}
    if spec["rate"] != "default":
        tuned = {"learning_rate": float(spec["rate"]), "warmup_steps": steps // 10}
        tuned |= {"per_device_train_batch_size": spec["rows"], "weight_decay": 0.01}
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            seed=0,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            disable_tqdm=True,
            **tuned,
        )
        trainer = transformers.Trainer(
            model,
            arguments,
            train_dataset=rows,
            data_collator=Masking(spec),
            callbacks=[callback] * bool(callback),
        )
        began = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - began
        if callback:
            trainer.save_model(spec["model"])
        return seconds


def main(folder, output):
    global BEGAN
    with open(f"{folder}/spec.json", encoding="utf-8") as file:
        spec = json.load(file)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers_logging.set_verbosity_error()
    rows = [{"input_ids": row} for row in np.load(f"{folder}/train.npy")]
    train(spec, rows, 2)
    a_step = train(spec, rows, PROBE) / PROBE
    BEGAN = time.monotonic()
    steps = max(2, round(60 * spec["minutes"] / a_step))
    asking = Asking(folder)
    asking.every = max(1, steps // spec["points"])
    train(spec, rows, steps, asking)
    with open(output, "w", encoding="utf-8") as file:
        json.dump(asking.curve, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
