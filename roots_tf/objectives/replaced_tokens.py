"""Replaced-token detection: a generator puts tokens into a text, an encoder tells which they are.

ELECTRA (Clark et al. 2020, arXiv:2003.10555). Every token of a text is judged, and not the masked
ones alone, so that an encoder learns more from each. The generator is a masked language model that
is trained beside it; what it puts in is drawn from what it believes, and counts as real where it is
the original. This file holds the flags; TensorFlow is imported with the files beside it:
`replaced_tokens_rows` (batches) and `replaced_tokens_task` (losses and samples).
"""

import dataclasses
from typing import ClassVar, Literal

from roots_tf import program
from roots_tf.objectives.mask_flags import MASK_FLAGS, MaskFlags
from roots_tf.objectives.masked_lm import MaskedLM
from roots_tf.objectives.objective import Objective


class _Masked(MaskedLM):
    """What the generator sees; `mask` of google-research/electra's `pretrain_helpers.py`."""

    replace: ClassVar[tuple[float, float, float]] = (0.85, 0.0, 0.15)


@dataclasses.dataclass(frozen=True)
class ReplacedTokens(MaskFlags, Objective):
    """Generator and discriminator; `Objective` says what each method takes and gives."""

    name: ClassVar[str] = "replaced_tokens"
    of_a_phase: ClassVar[tuple[str, ...]] = MASK_FLAGS

    generator_width: float = program.flag(
        0.25,
        help="width of the generator as a share of the discriminator's; ELECTRA: 0.25 to 0.5",
        above=0,
        maximum=1,
    )
    discriminator_weight: float = program.flag(
        50.0,
        help="of the discriminator's loss beside the generator's; ELECTRA: 50",
        above=0,
        maximum=1e4,
    )
    embedding_sharing: Literal["tied", "gradient_disentangled", "separate"] = program.flag(
        "tied",
        help="one embedding for both models; the generator's, to which the discriminator adds a "
        "difference of its own (DeBERTaV3); or one each",
    )

    @property
    def masked(self) -> MaskedLM:
        """The masked language model that the generator learns."""
        return _Masked("none", **self.mask_flags())

    def generator_config(self, config):
        """A `models.GeneratorConfig` of the share of the discriminator's width."""
        from roots_tf import models

        sharing = {"embedding_sharing": self.embedding_sharing}
        return models.GeneratorConfig.of_share(config, self.generator_width, **sharing)

    def check(self, manifest, batch_size, length):
        """Refuses what the masked language model over packed rows refuses."""
        self.masked.check(manifest, batch_size, length)

    def rows_an_epoch(self, manifest, length, split="train"):
        """Those of the masked language model over packed rows."""
        return self.masked.rows_an_epoch(manifest, length, split)

    def make_rows(self, manifest, split, tokenizer, length):
        """A `replaced_tokens_rows.ReplacedTokensRows`."""
        from roots_tf.objectives.replaced_tokens_rows import ReplacedTokensRows

        self.check(manifest, 1, length)
        return ReplacedTokensRows(self.masked, manifest, split, tokenizer, length)

    def make_shown_rows(self, manifest, split, tokenizer, length):
        """The same rows, with where words start."""
        rows = self.make_rows(manifest, split, tokenizer, length)
        return dataclasses.replace(rows, shows_words=True)

    def make_model(self, config, *, seed=0, precision="float32", recompute=False):
        """A `models.ReplacedTokens`."""
        from roots_tf import models

        how = {"seed": seed, "precision": precision, "recompute": recompute}
        return models.ReplacedTokens(config, self.generator_config(config), **how)

    def finished(self, model):
        """The discriminator alone."""
        return model.finished()

    def make_task(self, model, tokenizer):
        """A `replaced_tokens_task.ReplacedTokensTask`."""
        from roots_tf.objectives.replaced_tokens_task import ReplacedTokensTask

        return ReplacedTokensTask(model, self.discriminator_weight)

    def step_flops(self, config, batch_size, length) -> float:
        """FLOPs of both models."""
        from roots_tf import models

        shape = (batch_size, length, self.masked.predictions(length))
        return models.replaced_tokens_step_flops(config, self.generator_config(config), *shape)

    def samples(self, task, batch, tokenizer, count=4) -> dict[str, str]:
        """Texts `fill_mask`, of the generator, and `replaced_tokens`, of the discriminator."""
        from roots_tf.objectives import replaced_tokens_task

        judged = replaced_tokens_task.judgements(task.model, batch, tokenizer, count)
        return self.masked.samples(task, batch, tokenizer, count) | {"replaced_tokens": judged}

    def render(self, features, row, tokenizer, color) -> str:
        """The pieces of a row as the generator sees them, with what it predicts marked."""
        return self.masked.render(features, row, tokenizer, color)

    def proportions(self, batches, manifest, split, tokenizer, length):
        """Shares of the generator's predictions, and of what became of them."""
        return self.masked.proportions(batches, manifest, split, tokenizer, length)
