"""Vectors of texts without labels: two views of one text are to be near, those of others far.

The views are two crops (Izacard et al. 2022, Contriever, arXiv:2112.09118, section 3.1), what
stands one after the other (Neelakantan et al. 2022, arXiv:2201.10005, section 2.1), or the text
itself under two dropout masks (Gao et al. 2021, SimCSE, arXiv:2104.08821, section 3). This file
holds the flags and what can be wrong with them; TensorFlow is imported with the files beside it:
`contrastive_rows` (batches), `contrastive_task` (loss and samples).
"""

import dataclasses
from typing import ClassVar, Literal

from roots_tf import program
from roots_tf.examples import manifest as manifests
from roots_tf.objectives.objective import Objective, Proportion
from roots_tf.storage import files

SHORTEST = 8  # tokens of a row, as in build-examples


@dataclasses.dataclass(frozen=True)
class Contrastive(Objective):
    """Contrastive views of texts; `Objective` says what each method takes and gives."""

    name: ClassVar[str] = "contrastive"
    of_a_phase: ClassVar[tuple[str, ...]] = ("shortest_crop", "longest_crop")

    views: Literal["crops", "consecutive", "dropout"] = program.flag(
        "crops",
        help="of a record: two crops; its beginning and what follows; or twice all of it, under "
        "two dropout masks",
    )
    shortest_crop: float = program.flag(
        0.1, help="share of a record that a crop has at least", above=0, maximum=1
    )
    longest_crop: float = program.flag(
        0.5, help="share of a record that a crop has at most", above=0, maximum=1
    )
    temperature: float = program.flag(
        0.05, help="cosines are divided by it before the softmax", above=0, maximum=100
    )

    def check(self, manifest: dict, batch_size: int, length: int) -> None:
        """Refuses batches of one text, examples of another layout and rows that are too short."""
        if batch_size < 2:
            raise files.InputError(
                "wrong-batch",
                f"found batch_size {batch_size}; wanted 2 at least: to a text the others of its "
                "batch are what is not alike",
            )
        self._check_rows(manifest, length)

    def _check_rows(self, manifest: dict, length: int) -> None:
        """Refuses what gives no rows."""
        if length < SHORTEST:
            raise files.InputError(
                "too-short",
                f"found rows of {length} tokens; wanted {SHORTEST} or more: give another "
                "--max_seq_length",
            )
        if self.shortest_crop > self.longest_crop:
            raise files.InputError(
                "flags-conflict",
                f"found shortest_crop {self.shortest_crop} and longest_crop {self.longest_crop}; "
                "wanted the first to be at most the second",
            )
        splits = ["train", "held_out"][: 1 + bool(manifest["splits"]["held_out"]["examples"])]
        for split in splits:
            manifests.split_of(manifest, split)
        manifests.check_layout(manifest, (manifests.CONTIGUOUS,), f"--objective={self.name}")

    def rows_an_epoch(self, manifest: dict, length: int, split: str = "train") -> int:
        """Records: each is a row."""
        return manifests.split_of(manifest, split)["examples"]

    def make_rows(self, manifest, split, tokenizer, length):
        """A `contrastive_rows.ViewRows`."""
        from roots_tf.objectives import contrastive_rows

        self._check_rows(manifest, length)
        return contrastive_rows.ViewRows(self, manifest, split, tokenizer, length)

    def make_model(self, config, *, seed=0, precision="float32", recompute=False):
        """A `models.PooledEncoder` without pooler, whose folder says how vectors are made.

        Raises:
            InputError: both views of a text are the same, as nothing is dropped.
        """
        from roots_tf import models

        rates = config.dropout, config.attention_dropout, config.activation_dropout
        if self.views == "dropout" and max(rates) <= 0:
            raise files.InputError(
                "flags-conflict",
                "found --views=dropout and a model without dropout, to which both views of a text "
                "are the same; wanted --dropout=0.1, or --views=crops",
            )
        model = models.PooledEncoder(config, False, seed, precision, recompute)
        how = dataclasses.asdict(models.EmbeddingSettings("mean", True))
        model.description = model.description | {"embedding": how}
        return model

    def make_task(self, model, tokenizer):
        """A `contrastive_task.ContrastiveTask`."""
        from roots_tf.objectives.contrastive_task import ContrastiveTask

        return ContrastiveTask(model, self.temperature)

    def step_flops(self, config, batch_size, length) -> float:
        """FLOPs of an encoder over two views of each row."""
        from roots_tf import models

        hidden, rows = config.hidden_dim, 2 * batch_size
        whole = models.step_flops(config, rows, length, 0)
        return whole - 6.0 * rows * hidden * (hidden + 2)  # no pooler, no next sentence

    def samples(self, task, batch, tokenizer, count=4) -> dict[str, str]:
        """Text `nearest`: what is found for a view among the second views of the batch."""
        from roots_tf.objectives import contrastive_task

        return {"nearest": contrastive_task.nearest(task, batch, tokenizer, count)}

    def render(self, features, row, tokenizer, color) -> str:
        """The pieces of both views, with a bar between."""
        from roots_tf.tokenizers.shown import shown

        views = (("token_ids", "padding_mask"), ("second_token_ids", "second_padding_mask"))
        return " | ".join(
            " ".join(shown(tokenizer, features[ids][row][features[mask][row]]))
            for ids, mask in views
        )

    def proportions(self, batches, manifest, split, tokenizer, length):
        """Share of padding, and tokens of a view."""
        tokens = places = rows = 0
        for batch in batches:
            for mask in (batch["padding_mask"], batch["second_padding_mask"]):
                tokens, places, rows = (
                    tokens + int(mask.sum()),
                    places + mask.size,
                    rows + len(mask),
                )
        return [
            Proportion("padding", 1 - tokens / max(places, 1), None),
            Proportion("tokens of a view", tokens / max(rows, 1), None, "tokens"),
        ]
