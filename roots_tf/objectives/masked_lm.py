"""Masked language model, with or without sentence pairs: BERT's pretraining (arXiv:1810.04805).

Its losses are those of section 3.1 there: the tokens behind [MASK], and whether B follows A. This
file holds the flags and what can be wrong with them; TensorFlow is imported with the files beside
it: `masked_lm_rows` (batches), `masked_lm_task` (losses and samples), `masked_lm_inspection`.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from roots_tf import program
from roots_tf.examples import manifest as manifests
from roots_tf.objectives.mask_flags import MASK_FLAGS, MaskFlags
from roots_tf.objectives.objective import Objective
from roots_tf.storage import files

if TYPE_CHECKING:
    import tensorflow as tf

SENTENCE_OBJECTIVES = ("nsp", "sop", "translation", "none")
MASKINGS = ("token", "whole_word", "span")
SHORTEST = 8  # tokens of a row, as in build-examples


@dataclasses.dataclass(frozen=True)
class MaskedLM(MaskFlags, Objective):
    """The masked language model; `Objective` says what each method takes and gives.

    Attributes:
        replace: shares of the predicted tokens that become [MASK], become a random token, and stay
            (BERT, A.1). It is no flag; a subclass may have others.
    """

    name: ClassVar[str] = "masked_lm"
    of_a_phase: ClassVar[tuple[str, ...]] = MASK_FLAGS
    replace: ClassVar[tuple[float, float, float]] = (0.8, 0.1, 0.1)

    sentence_objective: Literal["nsp", "sop", "translation", "none"] = program.flag(
        "nsp",
        help="next sentence, sentence order, translation (a sentence and its translation, masked "
        "alike), or none (rows packed full of text)",
    )

    @property
    def pairs(self) -> bool:
        """Whether a row is a pair of segments with a label."""
        return self.sentence_objective in ("nsp", "sop")

    @property
    def translations(self) -> bool:
        """Whether a row is a sentence and its translation (XLM's TLM, arXiv:1901.07291, 3.3)."""
        return self.sentence_objective == "translation"

    def check(self, manifest: dict, batch_size: int, length: int) -> None:
        """Refuses flags that are out of range, or do not go with one another or the examples."""
        self._check_flags(length)
        if batch_size < 1 + self.pairs:
            raise files.InputError(
                "wrong-batch",
                f"found batch_size {batch_size}; wanted at least {1 + self.pairs} rows (for pairs "
                "two, since a wrong second segment comes from another row): give more",
            )
        self._check_examples(manifest, "train", length)
        if manifest["splits"]["held_out"]["examples"]:
            self._check_examples(manifest, "held_out", length)

    def _check_flags(self, length: int) -> None:
        """Refuses what no examples could be read with."""
        choices = {"sentence_objective": SENTENCE_OBJECTIVES, "masking": MASKINGS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise files.InputError(
                    "no-such-choice",
                    f"found {name} {getattr(self, name)!r}; wanted one of {allowed}",
                )
        if length < SHORTEST:
            raise files.InputError(
                "too-short",
                f"found rows of {length} tokens; wanted {SHORTEST} or more: give another "
                "--max_seq_length",
            )
        self.check_mask_flags(length)
        if len(self.replace) != 3 or min(self.replace) < 0 or abs(sum(self.replace) - 1) > 1e-6:
            raise files.InputError(
                "number-out-of-range",
                f"found replace {self.replace}; wanted three shares that add up to 1: [MASK], a "
                "random token, the same token",
            )

    def _check_examples(self, manifest: dict, split: str, length: int) -> None:
        """Refuses examples that do not give the rows."""
        manifests.split_of(manifest, split)
        reader = f"--sentence_objective={self.sentence_objective}"
        if self.sentence_objective == "none":
            any_layout = (manifests.CONTIGUOUS, manifests.PAIRS, manifests.TRANSLATION)
            manifests.check_layout(manifest, any_layout, reader)
            return
        wanted = manifests.PAIRS if self.pairs else manifests.TRANSLATION
        manifests.check_layout(manifest, (wanted,), reader)
        if self.pairs:
            manifests.check_pairs(manifest, split)
        if length < manifest["max_seq_length"]:
            raise files.InputError(
                "too-short",
                f"found max_seq_length {length} for sentence pairs; wanted at least "
                f"{manifest['max_seq_length']}, the length of the build: build-examples with "
                "another --max_seq_length, or take --sentence_objective=none",
            )

    def rows_an_epoch(self, manifest: dict, length: int, split: str = "train") -> int:
        """Records for pairs, else the rows that the records fill."""
        shards = manifests.split_of(manifest, split)["shards"]
        return sum(self.rows_of(shard, length) for shard in shards)

    def rows_of(self, shard: dict, length: int) -> int:
        """Rows that one shard gives.

        Args:
            shard: what the manifest says of it.
            length: L.
        """
        packed = self.sentence_objective == "none"
        return manifests.packed_rows(shard, length) if packed else shard["examples"]

    def make_rows(self, manifest, split, tokenizer, length):
        """Rows of pairs, of translations, or packed rows."""
        from roots_tf.objectives import masked_lm_rows

        self._check_flags(length)
        self._check_examples(manifest, split, length)
        make = masked_lm_rows.PairRows if self.pairs else masked_lm_rows.PackedRows
        make = masked_lm_rows.TranslationRows if self.translations else make
        return make(self, manifest, split, tokenizer, length)

    def make_shown_rows(self, manifest, split, tokenizer, length):
        """The same rows, with where words start."""
        rows = self.make_rows(manifest, split, tokenizer, length)
        return dataclasses.replace(rows, shows_words=True)

    def make_model(self, config, *, seed=0, precision="float32", recompute=False):
        """A `models.Pretrainer`."""
        from roots_tf import models

        return models.Pretrainer(config, seed=seed, precision=precision, recompute=recompute)

    def make_task(self, model, tokenizer):
        """A `masked_lm_task.MaskedLMTask`."""
        from roots_tf.objectives.masked_lm_task import MaskedLMTask

        return MaskedLMTask(model, pairs=self.pairs, mask_id=tokenizer.mask_id)

    def step_flops(self, config, batch_size, length) -> float:
        """FLOPs of `models.Pretrainer`, which projects each prediction to the vocabulary."""
        from roots_tf import models

        return models.step_flops(config, batch_size, length, self.predictions(length))

    def samples(self, task, batch, tokenizer, count=4) -> dict[str, str]:
        """Text `fill_mask`: what the model believes stands at each [MASK]."""
        from roots_tf.objectives import masked_lm_task

        return {"fill_mask": masked_lm_task.fill_masks(task.model, batch, tokenizer, count)}

    def render(self, features, row, tokenizer, color) -> str:
        """The pieces of a row, predictions marked."""
        from roots_tf.objectives import masked_lm_inspection

        return masked_lm_inspection.render(features, row, tokenizer, color)

    def proportions(self, batches, manifest, split, tokenizer, length):
        """Shares of predictions, of what became of them, and of labels."""
        from roots_tf.objectives import masked_lm_inspection

        part = manifests.split_of(manifest, split)
        singles_share = part["singles"] / part["examples"] if self.pairs else 0.0
        how = self.masking_of(length)
        return masked_lm_inspection.proportions(batches, tokenizer, how, singles_share)

    def masking_of(self, length: int, step: "tf.Tensor | None" = None):
        """How rows are masked: a `masking.Masking`.

        Args:
            length: of the rows, L.
            step: of their batch, int64 []; None: one behind the last at which the rate changes.
        """
        from roots_tf.objectives.masking import Masking, rate_at

        rate = self.last_rate
        if step is not None and self.mask_rate_steps:
            rate = rate_at(step, self.mask_rate, rate, self.mask_rate_steps)
        return Masking(self.masking, rate, self.replace, self.predictions(length))
