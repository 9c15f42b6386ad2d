"""Fine-tunes by Hugging Face's `Trainer` what `benchmarks/finetune.py` wrote into a JSON file.

    python -c "$(cat benchmarks/finetune_hugging_face.py)" spec.json seed predictions.json

Needs torch, transformers 5 and accelerate, and nothing of this package. The three tasks are those
of the library's own examples: run_classification.py, run_ner.py (a tag at the first piece of a
word) and run_qa.py (windows of a context; the best span over them). Writes the predictions of all
test examples: classes, tags of words, or answers by question.
"""

import json
import os
import sys
import tempfile

import numpy as np
import torch
import transformers
from transformers.utils import logging as transformers_logging

MAX_ANSWER = 30  # pieces


class Classification:
    model_class = transformers.AutoModelForSequenceClassification

    def __init__(self, tokenizer, spec):
        self.tokenizer, self.length = tokenizer, spec["max_seq_length"]
        self.collate = transformers.DataCollatorWithPadding(tokenizer)

    def rows(self, examples):
        encoded = self.tokenizer(examples["texts"], truncation=True, max_length=self.length)
        return [
            {name: values[i] for name, values in encoded.items()} | {"labels": label}
            for i, label in enumerate(examples["labels"])
        ]

    def predictions(self, examples, rows, outputs):
        return [int(output.logits.argmax()) for output in outputs]


class Tagging:
    model_class = transformers.AutoModelForTokenClassification

    def __init__(self, tokenizer, spec):
        self.tokenizer, self.length = tokenizer, spec["max_seq_length"]
        self.collate = transformers.DataCollatorForTokenClassification(tokenizer)

    def rows(self, examples):
        encoded = self.tokenizer(
            examples["words"], is_split_into_words=True, truncation=True, max_length=self.length
        )
        return [
            {name: values[i] for name, values in encoded.items()}
            | {"labels": self._first_pieces(encoded.word_ids(i), tags)}
            for i, tags in enumerate(examples["tags"])
        ]

    def _first_pieces(self, words, values):
        """Values of words at their first pieces, -100 at others."""
        before = [None, *words]
        return [
            -100 if word is None or word == last else values[word]
            for last, word in zip(before, words, strict=False)
        ]

    def predictions(self, examples, rows, outputs):
        found = [[0] * len(words) for words in examples["words"]]
        encoded = self.tokenizer(
            examples["words"], is_split_into_words=True, truncation=True, max_length=self.length
        )
        for i, output in enumerate(outputs):
            tags = output.logits.argmax(-1)
            words = encoded.word_ids(i)
            for place, word in enumerate(self._first_pieces(words, range(len(found[i])))):
                if word != -100:
                    found[i][word] = int(tags[place])
        return found


class QuestionAnswering:
    model_class = transformers.AutoModelForQuestionAnswering

    def __init__(self, tokenizer, spec):
        self.tokenizer, self.length = tokenizer, spec["max_seq_length"]
        self.overlap = spec["overlap"]
        self.collate = transformers.DataCollatorWithPadding(tokenizer)

    def _windows(self, examples):
        encoded = self.tokenizer(
            examples["questions"],
            examples["contexts"],
            truncation="only_second",
            max_length=self.length,
            stride=self.overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        texts = encoded.pop("overflow_to_sample_mapping")
        return encoded, encoded.pop("offset_mapping"), texts

    def rows(self, examples):
        encoded, offsets, texts = self._windows(examples)
        rows = []
        for i, text in enumerate(texts):
            start = examples["starts"][text]
            end = start + len(examples["answers"][text])
            inside = [
                place
                for place, segment in enumerate(encoded.sequence_ids(i))
                if segment == 1 and offsets[i][place][0] < end and offsets[i][place][1] > start
            ]
            whole = (
                inside and offsets[i][inside[0]][0] <= start and offsets[i][inside[-1]][1] >= end
            )
            row = {name: values[i] for name, values in encoded.items()}
            row["start_positions"] = inside[0] if whole else 0
            row["end_positions"] = inside[-1] if whole else 0
            rows.append(row)
        return rows

    def predictions(self, examples, rows, outputs):
        encoded, offsets, texts = self._windows(examples)
        best = {name: (-np.inf, "") for name in examples["ids"]}
        for i, (text, output) in enumerate(zip(texts, outputs, strict=True)):
            places = np.flatnonzero([segment == 1 for segment in encoded.sequence_ids(i)])
            start, end = output.start_logits[places], output.end_logits[places]
            spans = start[:, None] + end[None]
            size = len(places)
            spans[
                ~np.triu(np.ones([size, size], bool)) | ~np.tri(size, k=MAX_ANSWER - 1, dtype=bool)
            ] = -np.inf
            first, last = np.unravel_index(spans.argmax(), spans.shape)
            name = examples["ids"][text]
            if spans[first, last] > best[name][0]:
                begin, stop = offsets[i][places[first]][0], offsets[i][places[last]][1]
                best[name] = spans[first, last], examples["contexts"][text][begin:stop]
        return {name: answer for name, (_, answer) in best.items()}


TASKS = {
    "classification": Classification,
    "tagging": Tagging,
    "question_answering": QuestionAnswering,
}


def train(spec, task, rows, seed, folder):
    transformers.set_seed(seed)  # before the head draws its weights
    config = transformers.AutoConfig.from_pretrained(spec["init_from"])
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = spec["dropout"]
    config.num_labels = spec["num_labels"]
    model = task.model_class.from_pretrained(spec["init_from"], config=config, dtype=torch.float32)
    total = max(1, round(spec["num_epochs"] * len(rows) / spec["batch_size"]))
    arguments = transformers.TrainingArguments(
        output_dir=folder,
        max_steps=total,
        per_device_train_batch_size=spec["batch_size"],
        learning_rate=spec["learning_rate"],
        lr_scheduler_type="linear",
        warmup_steps=round(spec["warmup_share"] * total),
        weight_decay=spec["weight_decay"],
        adam_epsilon=spec["epsilon"],
        max_grad_norm=spec["max_grad_norm"],
        optim="adamw_torch",
        train_sampling_strategy="group_by_length",  # as ours
        bf16=False,
        torch_compile=spec.get("compile", False),
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=rows, data_collator=task.collate)
    trainer.train()
    return trainer.model.eval()


class Output:
    """What the model says of one row, without its padding, as arrays."""

    def __init__(self, batch, index, length):
        for name, value in batch.items():
            value = value[index].float().cpu().numpy()
            setattr(self, name, value[:length] if name in ("start_logits", "end_logits") else value)


@torch.no_grad()
def outputs_of(model, task, rows, batch_size):
    labels = {"labels", "start_positions", "end_positions"}
    inputs = [{k: v for k, v in row.items() if k not in labels} for row in rows]
    found = []
    for begin in range(0, len(inputs), batch_size):
        some = inputs[begin : begin + batch_size]
        batch = task.tokenizer.pad(some, return_tensors="pt").to(model.device)
        logits = {k: v for k, v in model(**batch).items() if k.endswith("logits")}
        found += [Output(logits, i, len(row["input_ids"])) for i, row in enumerate(some)]
    return found


def main(spec_path, seed, predictions_path):
    with open(spec_path, encoding="utf-8") as file:
        spec = json.load(file)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers_logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(spec["init_from"])
    task = TASKS[spec["task"]](tokenizer, spec)
    rows = {split: task.rows(spec[split]) for split in ("train", "test")}
    with tempfile.TemporaryDirectory() as folder:
        model = train(spec, task, rows["train"], int(seed), folder)
    outputs = outputs_of(model, task, rows["test"], 2 * spec["batch_size"])
    predictions = task.predictions(spec["test"], rows["test"], outputs)
    with open(predictions_path, "w", encoding="utf-8") as file:
        json.dump(predictions, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
