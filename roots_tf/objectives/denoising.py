"""Denoising: an encoder reads a text of which parts are hidden, a decoder tells what is missing.

T5's span corruption (Raffel et al. 2020, arXiv:1910.10683, sections 3.1.4 and 3.3.4), BART's text
infilling (Lewis et al. 2019, arXiv:1910.13461, section 2.2), the prefix language model, and UL2's
mixture of them (Tay et al. 2022, arXiv:2205.05131, section 3.1.1). This file holds the flags and
what can be wrong with them; TensorFlow is imported with the files beside it: `denoising_noise`
(what is hidden), `denoising_rows` (batches), `denoising_task` (loss and samples),
`denoising_inspection`.

Sentinels are the tokens `<extra_id_0>`, `<extra_id_1>`, ...: the first stands for the first span of
a row, whatever ids they have. Those that the examples' tokenizer lacks come behind its other ids;
T5's, whose ids count down from the last, are taken as they are.
"""

import dataclasses
from typing import ClassVar, Literal

from roots_tf import program
from roots_tf.examples import manifest as manifests
from roots_tf.objectives.denoising_lengths import MODE, SENTINEL, Denoiser, fill, start_of
from roots_tf.objectives.objective import Objective
from roots_tf.storage import files

RATES = {"span_corruption": 0.15, "text_infilling": 0.3}  # T5's, 3.1.4; BART's, 5.1
SPAN_LENGTH = 3.0  # of both: T5, 3.3.4; BART, 2.2
# UL2, table 1: of seven denoisers two are regular, four extreme (by rate, by length of spans or by
# both), one sequential.
WEIGHTS = ("r=2", "x=4", "s=1")


@dataclasses.dataclass(frozen=True)
class Denoising(Objective):
    """Denoising; `Objective` says what each method takes and gives."""

    name: ClassVar[str] = "denoising"
    of_a_phase: ClassVar[tuple[str, ...]] = ()
    preset: ClassVar[str] = "t5"

    denoising: Literal["span_corruption", "text_infilling", "prefix", "mixture"] = program.flag(
        "span_corruption",
        help="T5's spans behind sentinels; BART's spans behind masks; the end of a text from its "
        "beginning; or UL2's mixture of the first and the third",
    )
    noise_rate: float = program.flag(
        0.0,
        help="share of the tokens that are hidden; 0: 0.15, of text_infilling 0.3",
        minimum=0,
        maximum=0.9,
    )
    span_length: float = program.flag(
        SPAN_LENGTH, help="mean number of tokens in a span", minimum=1, maximum=1000
    )
    permute_sentences: float = program.flag(
        0.0,
        help="share of the rows whose sentences text_infilling puts in another order; BART: 1",
        minimum=0,
        maximum=1,
    )
    denoiser_weights: tuple[str, ...] = program.flag(
        WEIGHTS, help="of the mixture: shares of regular, extreme and sequential rows"
    )
    num_sentinels: int = program.flag(
        100, help="tokens that stand for spans; T5: 100", minimum=1, maximum=10_000
    )
    decoder_layers: int = program.flag(
        0, help="layers of the decoder; 0: as many as the encoder has", **program.LAYERS
    )

    @property
    def denoisers(self) -> tuple[Denoiser, ...]:
        """Those of the rows, each with its share of them.

        Raises:
            InputError: weights of the mixture are none.
        """
        if self.denoising == "mixture":
            weights = self._weights()
            regular = Denoiser("spans", 0.15, 3.0, weights["r"], "r")
            extreme = [
                Denoiser("spans", rate, mean, weights["x"] / 2, "x")
                for rate, mean in ((0.5, 3.0), (0.15, 32.0))
            ]
            found = (regular, *extreme, Denoiser("suffix", weight=weights["s"], mode="s"))
            return tuple(each for each in found if each.weight)
        if self.denoising == "prefix":
            return (Denoiser("suffix"),)
        kind = "spans" if self.denoising == "span_corruption" else "infilling"
        return (Denoiser(kind, self.noise_rate or RATES[self.denoising], self.span_length),)

    @property
    def has_sentinels(self) -> bool:
        """Whether spans have a sentinel each."""
        return any(each.kind == "spans" for each in self.denoisers)

    def _weights(self) -> dict[str, float]:
        """Shares of the mixture by letter; they add up to 1."""
        found = dict.fromkeys("rxs", 0.0)
        for text in self.denoiser_weights:
            name, _, number = text.partition("=")
            try:
                weight = float(number)
            except ValueError:
                weight = -1.0
            if name.lower() not in found or not 0 <= weight < 1e9:
                raise files.InputError(
                    "wrong-value",
                    f"found {text!r} in --denoiser_weights; wanted r=, x= or s= and a number of "
                    f"0 or more, such as {','.join(WEIGHTS)}",
                )
            found[name.lower()] += weight
        if not (total := sum(found.values())):
            raise files.InputError(
                "wrong-value",
                f"found no weight above 0 in --denoiser_weights={','.join(self.denoiser_weights)}; "
                f"wanted one at least, such as {','.join(WEIGHTS)}",
            )
        return {name: weight / total for name, weight in found.items()}

    def tokens(self, length: int) -> tuple[int, int]:
        """Tokens of text that a row takes, and those of its target, T.

        >>> Denoising().tokens(512)
        (566, 115)

        The source holds what begins and ends it, and a token that tells of which kind the row is,
        if there are several. One more span than T5's `random_spans_helper` counts has room in both:
        the one that is cut where the ends of a row come together.

        Args:
            length: L, of the source.
        """
        return fill(self.denoisers, length, marks=2 + (self.denoising == "mixture"))

    def target_length(self, length: int) -> int:
        """T, for rows of L tokens."""
        return self.tokens(length)[1]

    def check(self, manifest: dict, batch_size: int, length: int) -> None:
        """Refuses flags that do not go together, and examples of another layout."""
        self._check_flags(length)
        splits = ["train", "held_out"][: 1 + bool(manifest["splits"]["held_out"]["examples"])]
        for split in splits:
            manifests.split_of(manifest, split)
        manifests.check_layout(manifest, (manifests.CONTIGUOUS,), f"--objective={self.name}")

    def _check_flags(self, length: int) -> None:
        """Refuses what no examples could be read with."""
        of_kinds = {
            "noise_rate": ("span_corruption", "text_infilling"),
            "span_length": ("span_corruption", "text_infilling"),
            "permute_sentences": ("text_infilling",),
            "denoiser_weights": ("mixture",),
        }
        for name, kinds in of_kinds.items():
            given = getattr(self, name) != getattr(type(self), name)
            if given and self.denoising not in kinds:
                raise files.InputError(
                    "flags-conflict",
                    f"found --{name} and --denoising={self.denoising}; wanted it left out, or "
                    f"--denoising={' or '.join(kinds)}",
                )
        tokens, _ = self.tokens(length)
        for each in self.denoisers:
            spans = each.counts(tokens)[1] + 1
            if each.kind == "spans" and spans > self.num_sentinels:
                raise files.InputError(
                    "number-out-of-range",
                    f"found num_sentinels {self.num_sentinels}, where rows of {length} tokens have "
                    f"up to {spans} spans; wanted as many: give --num_sentinels={spans}, shorter "
                    "rows or longer spans",
                )

    def rows_an_epoch(self, manifest: dict, length: int, split: str = "train") -> int:
        """Rows that the text fills; see `denoising_rows`."""
        shards = manifests.split_of(manifest, split)["shards"]
        return sum(self.rows_of(shard, length) for shard in shards)

    def rows_of(self, shard: dict, length: int) -> int:
        """Rows that one shard gives.

        Args:
            shard: what the manifest says of it.
            length: L.
        """
        return -(-shard["tokens"] // self.tokens(length)[0])

    def tokenizer_of(self, tokenizer):
        """The tokenizer with sentinels, and of the mixture with a token for each kind of rows."""
        from roots_tf.tokenizers import extending

        names = [SENTINEL.format(i) for i in range(self.num_sentinels * self.has_sentinels)]
        modes = dict.fromkeys(MODE.format(each.mode) for each in self.denoisers if each.mode)
        return extending.with_special_tokens(tokenizer, [*names, *modes])

    def make_rows(self, manifest, split, tokenizer, length):
        """A `denoising_rows.DenoisingRows`."""
        from roots_tf.objectives import denoising_rows

        self.check(manifest, 1, length)
        tokenizer = self.tokenizer_of(tokenizer)
        return denoising_rows.DenoisingRows(self, manifest, split, tokenizer, length)

    def decoder_config(self, config, **fields):
        """Sizes of a new decoder beside an encoder's; its positions reach over the whole target.

        Args:
            config: an `EncoderConfig`.
            **fields: others that differ.
        """
        from roots_tf import models

        reach = max(config.max_sequence_length, self.target_length(config.max_sequence_length))
        layers = self.decoder_layers or config.num_layers
        sizes = {"num_layers": layers, "max_sequence_length": reach}
        return models.DecoderConfig.like(config, **sizes | fields)

    def model_parts(self, tokenizer, length, folder=""):
        """The decoder of the folder, or what a new one has whose targets begin as the rows'.

        Raises:
            InputError: the folder's model is of another kind, is too short, or its texts begin in
                another way than rows made with this tokenizer.
        """
        from roots_tf import models

        begins, start = tokenizer.bos_id is not None, start_of(tokenizer)
        if not folder:
            other = {} if begins else {"start_ids": (start,), "source_begins": False}
            return {"decoder": other}
        described = models.describe(folder)
        if "decoder" not in described:
            raise files.InputError(
                "wrong-model-kind",
                f"found a model of kind {described['kind']} in {folder}; wanted an encoder_decoder "
                "for --objective=denoising, which pretrain --objective=denoising writes",
            )
        decoder, wanted = described["decoder"], self.decoder_layers
        if decoder.num_layers != (wanted or described["encoder"].num_layers):
            raise files.InputError(
                "flags-conflict",
                f"found {decoder.num_layers} layers of the decoder in {folder}; wanted "
                f"--decoder_layers={decoder.num_layers}",
            )
        reach = self.target_length(length)
        if decoder.positions == "learned" and decoder.max_sequence_length < reach:
            raise files.InputError(
                "wrong-sizes",
                f"found {decoder.max_sequence_length} positions of the decoder in {folder} and "
                f"targets of {reach} tokens; wanted no more tokens than positions: give a smaller "
                "--max_seq_length",
            )
        starts = decoder.start_ids or (tokenizer.bos_id,)
        if (starts, decoder.source_begins and begins) != ((start,), begins):
            raise files.InputError(
                "wrong-model-kind",
                f"found a model in {folder} whose targets begin with the ids {list(starts)} and "
                f"source_begins={decoder.source_begins}; wanted {[start]} and {begins}, as rows "
                "have it: start from a model that pretrain wrote",
            )
        return {"decoder": decoder}

    def make_model(self, config, *, seed=0, precision="float32", recompute=False, decoder=None):
        """A `models.EncoderDecoder`, of the parts that `model_parts` gives."""
        from roots_tf import models

        if isinstance(decoder, models.DecoderConfig):
            decoder = dataclasses.replace(decoder, dropout=config.dropout)
        else:
            decoder = self.decoder_config(config, **decoder or {})
        make = models.EncoderDecoder
        return make(config, decoder, seed=seed, precision=precision, recompute=recompute)

    def make_task(self, model, tokenizer):
        """A `denoising_task.DenoisingTask`."""
        from roots_tf.objectives.denoising_task import DenoisingTask

        return DenoisingTask(model)

    def step_flops(self, config, batch_size, length) -> float:
        """FLOPs of `models.EncoderDecoder`, which projects each token of a target."""
        from roots_tf import models

        decoder, target_length = self.decoder_config(config), self.target_length(length)
        sizes = (config, decoder, batch_size, length, target_length)
        return models.encoder_decoder_step_flops(*sizes)

    def samples(self, task, batch, tokenizer, count=4) -> dict[str, str]:
        """Text `denoised`: sources, and what the model believes of each token of their targets."""
        from roots_tf.objectives import denoising_task

        return {"denoised": denoising_task.denoised(task.model, batch, tokenizer, count)}

    def render(self, features, row, tokenizer, color) -> str:
        """The pieces of a source and, below, those of its target."""
        from roots_tf.objectives import denoising_inspection

        return denoising_inspection.render(features, row, tokenizer)

    def proportions(self, batches, manifest, split, tokenizer, length):
        """Shares of noise, lengths of spans, shares of padding and, of the mixture, of rows."""
        from roots_tf.objectives import denoising_inspection

        return denoising_inspection.proportions(batches, tokenizer, self)
