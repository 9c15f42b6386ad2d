"""Causal language model: each token is predicted from those before it (GPT).

Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.1,
equation 1. This file holds the flags and what can be wrong with them; TensorFlow is imported with
the files beside it: `causal_lm_rows` (batches), `causal_lm_task` (loss and samples).
"""

import dataclasses
from typing import ClassVar

from roots_tf.examples import manifest as manifests
from roots_tf.objectives.objective import Objective, Proportion
from roots_tf.storage import files

SHORTEST = 2  # tokens of a row: one that sees and one that is seen


@dataclasses.dataclass(frozen=True)
class CausalLM(Objective):
    """The causal language model; `Objective` says what each method takes and gives."""

    name: ClassVar[str] = "causal_lm"
    of_a_phase: ClassVar[tuple[str, ...]] = ()
    preset: ClassVar[str] = "gpt2"

    def check(self, manifest: dict, batch_size: int, length: int) -> None:
        """Refuses examples of another layout and rows that are too short."""
        if length < SHORTEST:
            raise files.InputError(
                "too-short",
                f"found rows of {length} tokens; wanted {SHORTEST} or more: give another "
                "--max_seq_length",
            )
        splits = ["train", "held_out"][: 1 + bool(manifest["splits"]["held_out"]["examples"])]
        for split in splits:
            manifests.split_of(manifest, split)
        manifests.check_layout(manifest, (manifests.CONTIGUOUS,), f"--objective={self.name}")

    def rows_an_epoch(self, manifest: dict, length: int, split: str = "train") -> int:
        """Rows that the records fill; see `causal_lm_rows`."""
        shards = manifests.split_of(manifest, split)["shards"]
        return sum(manifests.causal_rows(shard, length) for shard in shards)

    def make_rows(self, manifest, split, tokenizer, length):
        """A `causal_lm_rows.CausalRows`."""
        from roots_tf.objectives import causal_lm_rows

        self.check(manifest, 1, length)
        return causal_lm_rows.CausalRows(manifest, split, tokenizer, length)

    def make_model(self, config, *, seed=0, precision="float32", recompute=False):
        """A `models.CausalLM`."""
        from roots_tf import models

        return models.CausalLM(config, seed=seed, precision=precision, recompute=recompute)

    def make_task(self, model, tokenizer):
        """A `causal_lm_task.CausalLMTask`."""
        from roots_tf.objectives.causal_lm_task import CausalLMTask

        return CausalLMTask(model)

    def step_flops(self, config, batch_size, length) -> float:
        """FLOPs of `models.CausalLM`, which projects each token to the vocabulary."""
        from roots_tf import models

        return models.causal_step_flops(config, batch_size, length)

    def samples(self, task, batch, tokenizer, count=4) -> dict[str, str]:
        """Text `next_tokens`: what the model believes follows at some places."""
        from roots_tf.objectives import causal_lm_task

        return {"next_tokens": causal_lm_task.next_tokens(task.model, batch, tokenizer, count)}

    def render(self, features, row, tokenizer, color) -> str:
        """The pieces of a row, with a bar where one text ends and another begins."""
        from roots_tf.tokenizers.shown import shown

        inside = features["padding_mask"][row]
        pieces = shown(tokenizer, features["token_ids"][row][inside])
        documents = features["document_ids"][row][inside]
        return " ".join(
            f"| {piece}" if place and documents[place] != documents[place - 1] else piece
            for place, piece in enumerate(pieces)
        )

    def proportions(self, batches, manifest, split, tokenizer, length):
        """Shares of padding and of tokens that are predicted."""
        tokens = places = predicted = 0
        for batch in batches:
            places += batch["padding_mask"].size
            tokens += int(batch["padding_mask"].sum())
            predicted += float(batch["next_token_weights"].sum())
        return [
            Proportion("padding", 1 - tokens / max(places, 1), None),
            Proportion("tokens that predict the next one", predicted / max(tokens, 1), None),
        ]
