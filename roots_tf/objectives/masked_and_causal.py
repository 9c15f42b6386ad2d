"""Masked and causal language model in one run, over one stack (GPT-BERT, arXiv:2410.24159).

Batches take turns: `--causal_share` of them are causal, in the others tokens are masked and seen
from both sides. Which one a batch is follows from its step. Both read the same rows, those of
`causal_lm_rows`. A held-out batch has both losses, each over all of its rows.
"""

import dataclasses
from typing import ClassVar

from roots_tf import program
from roots_tf.objectives.causal_lm import CausalLM
from roots_tf.objectives.mask_flags import MASK_FLAGS, MaskFlags
from roots_tf.objectives.masked_lm import MaskedLM
from roots_tf.objectives.objective import Objective, Proportion


@dataclasses.dataclass(frozen=True)
class MaskedAndCausal(MaskFlags, Objective):
    """Both language models by turns; `Objective` says what each method takes and gives."""

    name: ClassVar[str] = "masked_and_causal"
    of_a_phase: ClassVar[tuple[str, ...]] = ("causal_share", *MASK_FLAGS)
    preset: ClassVar[str] = "gpt2"

    causal_share: float = program.flag(
        0.125, help="share of the batches that are causal", minimum=0, maximum=1
    )

    @property
    def masked(self) -> MaskedLM:
        """The masked language model alone."""
        return MaskedLM("none", **self.mask_flags())

    def check(self, manifest, batch_size, length):
        """Refuses what either of the two refuses."""
        CausalLM().check(manifest, batch_size, length)
        self.masked.check(manifest, batch_size, length)

    def rows_an_epoch(self, manifest, length, split="train"):
        """Those of the causal language model."""
        return CausalLM().rows_an_epoch(manifest, length, split)

    def make_rows(self, manifest, split, tokenizer, length):
        """A `masked_and_causal_rows.MaskedAndCausalRows`."""
        from roots_tf.objectives import masked_and_causal_rows

        self.check(manifest, 1, length)
        make = masked_and_causal_rows.MaskedAndCausalRows
        return make(manifest, split, tokenizer, length, self)

    def make_shown_rows(self, manifest, split, tokenizer, length):
        """The same rows, with the rate at which they are masked."""
        rows = self.make_rows(manifest, split, tokenizer, length)
        return dataclasses.replace(rows, shows_rate=True)

    def make_model(self, config, *, seed=0, precision="float32", recompute=False):
        """A `models.MaskedAndCausalLM`."""
        from roots_tf import models

        return models.MaskedAndCausalLM(config, seed=seed, precision=precision, recompute=recompute)

    def make_task(self, model, tokenizer):
        """A `masked_and_causal_task.MaskedAndCausalTask`."""
        from roots_tf.objectives.masked_and_causal_task import MaskedAndCausalTask

        return MaskedAndCausalTask(model)

    def step_flops(self, config, batch_size, length) -> float:
        """The mean over the batches of both kinds."""
        from roots_tf import models

        hidden = config.hidden_dim
        masked = models.step_flops(config, batch_size, length, self.masked.predictions(length))
        masked -= 6.0 * batch_size * hidden * (hidden + 2)  # no pooler, no next sentence
        causal = models.causal_step_flops(config, batch_size, length)
        return self.causal_share * causal + (1 - self.causal_share) * masked

    def samples(self, task, batch, tokenizer, count=4) -> dict[str, str]:
        """Texts `fill_mask` and `next_tokens`, as the two objectives have them."""
        masked = batch | {"token_ids": batch["masked_token_ids"]}
        return self.masked.samples(task, masked, tokenizer, count) | CausalLM().samples(
            task, batch, tokenizer, count
        )

    def render(self, features, row, tokenizer, color) -> str:
        """The pieces of a row, with the masked ones marked where the batch is of that kind."""
        if features["masked_lm_weights"][row].any():
            masked = features | {"token_ids": features["masked_token_ids"]}
            return self.masked.render(masked, row, tokenizer, color)
        return CausalLM().render(features, row, tokenizer, color)

    def proportions(self, batches, manifest, split, tokenizer, length):
        """Shares of padding, of causal batches and, in the others, of masked tokens."""
        count = causal = places = tokens = seen = masked = due = 0
        for batch in batches:
            count, places = count + 1, places + batch["padding_mask"].size
            inside = int(batch["padding_mask"].sum())
            tokens += inside
            causal += bool(batch["next_token_weights"].any())
            predicted = int(batch["masked_lm_weights"].sum())
            seen, masked = seen + inside * bool(predicted), masked + predicted
            due += inside * bool(predicted) * batch.get("mask_rate", [self.mask_rate])[0]
        wanted = self.causal_share if split == "train" else 1.0
        return [
            Proportion("padding", 1 - tokens / max(places, 1), None),
            Proportion("causal batches", causal / max(count, 1), wanted),
            Proportion("masked tokens", masked / max(seen, 1), due / max(seen, 1)),
        ]
