"""Masked batches for people: pieces with the masks highlighted, and measured proportions."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from roots_tf.examples import word_lengths
from roots_tf.objectives import masking, pairing
from roots_tf.objectives.objective import Proportion
from roots_tf.tokenizers.shown import shown as pieces

MASKED, RANDOM, KEPT, SPECIAL, PLAIN = "masked", "random", "kept", "special", "plain"
ANSI = {MASKED: "\x1b[30;43m", RANDOM: "\x1b[30;41m", KEPT: "\x1b[30;42m", SPECIAL: "\x1b[2m"}
BRACKETS = {MASKED: "[{}]", RANDOM: "<{}>", KEPT: "({})", SPECIAL: "{}", PLAIN: "{}"}
ENOUGH = 10  # predictions that are due of tokens before it is said that they are never predicted


def render(features: dict[str, np.ndarray], row: int, tokenizer, color: bool) -> str:
    """One row of a batch as text.

    A prediction shows what stood there, and what stands there now where that is another token:
    `[garden]` was masked, `<garden→sea>` became a random token, `(garden)` was left as it is. With
    color they are yellow, red and green.

    Args:
        features: a batch as NumPy arrays.
        row: which row of it.
        tokenizer: of the examples.
        color: whether to mark by color (ANSI escapes).
    """
    tokens = features["token_ids"][row]
    used = features["masked_lm_weights"][row] > 0
    labels = dict(
        zip(
            features["masked_lm_positions"][row][used].tolist(),
            features["masked_lm_ids"][row][used].tolist(),
            strict=True,
        )
    )
    before = [labels.get(position, token) for position, token in enumerate(tokens.tolist())]
    texts = list(zip(pieces(tokenizer, before), pieces(tokenizer, tokens), strict=True))
    shown = []
    for position in np.flatnonzero(features["padding_mask"][row]).tolist():
        token = int(tokens[position])
        piece, now = texts[position]
        mark = SPECIAL if token in (tokenizer.cls_id, tokenizer.sep_id) else PLAIN
        if position in labels:
            mark = MASKED if token == tokenizer.mask_id else RANDOM
            mark = KEPT if token == labels[position] else mark
            piece = f"{piece}→{now}" if mark == RANDOM else piece
        if color and mark in ANSI:
            shown.append(f"{ANSI[mark]}{piece}\x1b[0m")
        else:
            shown.append(piece if color else BRACKETS[mark].format(piece))
        if "document_ids" in features and _ends_piece(features["document_ids"][row], position):
            shown.append("|")
    title = []
    if "next_sentence_labels" in features:
        label = int(features["next_sentence_labels"][row])
        title.append(f"label {label} ({'not next, or swapped' if label else 'next'})")
        title.append(f"segment B of {int(features['segment_ids'][row].sum())}")
    if "document_ids" in features:
        title.append(f"{int(features['document_ids'][row].max())} pieces")
    title += [f"{int(features['padding_mask'][row].sum())} tokens", f"{len(labels)} predicted"]
    return f"{', '.join(title)}\n{' '.join(shown)}"


def _ends_piece(document_ids: np.ndarray, position: int) -> bool:
    """Whether another piece of a packed row follows."""
    return position + 1 < len(document_ids) and document_ids[position + 1] > document_ids[position]


@dataclasses.dataclass
class Counts:
    """What was counted in the rows of weight 1 of some batches."""

    rows: int = 0
    cells: int = 0
    tokens: int = 0
    predicted: int = 0
    expected: int = 0
    masked: int = 0
    kept: int = 0
    words_touched: int = 0
    words_whole: int = 0
    candidates: int = 0
    too_long: int = 0
    too_long_predicted: int = 0
    words: list = dataclasses.field(default_factory=list)
    pairs: int = 0
    label_ones: int = 0

    def add(self, features: dict, tokenizer, how: masking.Masking) -> None:
        """Counts one batch.

        Args:
            features: of the batch, as NumPy arrays.
            tokenizer: of the examples.
            how: the masking that was asked for.
        """
        real = features["example_weights"] > 0
        features = {name: values[real] for name, values in features.items()}
        tokens, attended = features["token_ids"], features["padding_mask"]
        used = features["masked_lm_weights"] > 0
        positions = features["masked_lm_positions"]
        shown = np.take_along_axis(tokens, positions, axis=1)[used]
        labels = features["masked_lm_ids"][used]
        lengths = attended.sum(axis=1)
        self.rows += len(tokens)
        self.cells += tokens.size
        self.tokens += int(lengths.sum())
        self.predicted += int(used.sum())
        wanted = np.clip(np.round(lengths * features["mask_rate"]), 1, how.max_predictions_per_seq)
        self.expected += int(wanted.sum())
        self.masked += int((shown == tokenizer.mask_id).sum())
        self.kept += int((shown == labels).sum())
        self._add_words(features, tokenizer, wanted)
        if "next_sentence_labels" in features:
            self.pairs += len(tokens)
            self.label_ones += int(features["next_sentence_labels"].sum())

    def _add_words(self, features: dict, tokenizer, wanted: np.ndarray) -> None:
        """Counts words; `wanted` is the budget of each row."""
        ids, first, predicted, row = _words(features, tokenizer)
        word = np.cumsum(first) - 1
        sizes, hits = np.bincount(word), np.bincount(word, weights=predicted)
        fits = sizes[word] <= wanted[row]
        could_be_whole = fits[np.flatnonzero(first)]
        self.words_touched += int(((hits > 0) & could_be_whole).sum())
        self.words_whole += int(((hits == sizes) & could_be_whole).sum())
        self.candidates += len(ids)
        self.too_long += int((~fits).sum())
        self.too_long_predicted += int((~fits & predicted).sum())
        self.words.append(word_lengths.of_words(tokenizer, ids, first))


def _words(features: dict, tokenizer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Words of a batch by the bits that say where they start.

    Returns:
        Of each token that is no special one: its id, and whether a word starts there and whether it
        is predicted, bool; and its row.
    """
    tokens = features["token_ids"].copy()
    rows, columns = np.nonzero(features["masked_lm_weights"])
    positions = features["masked_lm_positions"][rows, columns]
    tokens[rows, positions] = features["masked_lm_ids"][rows, columns]
    predicted = np.zeros(tokens.shape, bool)
    predicted[rows, positions] = True
    never = masking.vocabulary_of(tokenizer).never_ids
    candidate = features["padding_mask"] & ~np.isin(tokens, never)
    first = features["word_starts"] | ~np.pad(candidate, [[0, 0], [1, 0]])[:, :-1]
    if "document_ids" in features:
        first |= np.diff(features["document_ids"], axis=1, prepend=0) != 0
    row = np.nonzero(candidate)[0]
    return tokens[candidate], first[candidate], predicted[candidate], row


def proportions(
    batches: Iterable[dict], tokenizer, how: masking.Masking, singles_share: float
) -> list[Proportion]:
    """Measures some batches.

    Args:
        batches: batches as NumPy arrays.
        tokenizer: of the examples.
        how: the masking that was asked for.
        singles_share: share of the records without a second segment.
    """
    counts = Counts()
    for batch in batches:
        counts.add(batch, tokenizer, how)
    chance = how.replace[1] / tokenizer.size  # that a random token is the one wanted
    predicted = max(counts.predicted, 1)
    random = 1 - (counts.masked + counts.kept) / predicted
    measured = [
        Proportion("predicted", counts.predicted / counts.tokens, counts.expected / counts.tokens),
        Proportion("  masked", counts.masked / predicted, how.replace[0] + chance),
        Proportion("  random", random, how.replace[1] - 2 * chance),
        Proportion("  kept", counts.kept / predicted, how.replace[2] + chance),
        Proportion(
            "words kept whole",
            counts.words_whole / max(counts.words_touched, 1),
            None if how.strategy == "token" else 1.0,
        ),
        *_of_words(counts, how.strategy),
        Proportion("padding", 1 - counts.tokens / counts.cells, None),
    ]
    if counts.pairs:
        share = pairing.negative_share(singles_share)
        wanted = singles_share + (1 - singles_share) * share
        measured.append(Proportion("label 1", counts.label_ones / counts.pairs, wanted))
    return measured


def _of_words(counts: Counts, strategy: str) -> list[Proportion]:
    """How long words are, and what that means for masking."""
    rows = []
    if strategy != "token":
        # Masking takes the tokens of a word longer than the budget one by one.
        too_long = counts.too_long / max(counts.candidates, 1)
        due = counts.too_long * counts.predicted / max(counts.tokens, 1)
        is_told = due >= ENOUGH  # of fewer, that none was predicted says nothing
        never = too_long if is_told and not counts.too_long_predicted else 0.0
        rows.append(Proportion("can be predicted", 1 - never, 1.0))
        rows.append(Proportion("  in words too long", too_long, None))
    for unit in ("tokens", "characters"):
        histogram = np.sum([words[unit] for words in counts.words], axis=0).tolist()
        mean, *quantiles = word_lengths.figures(histogram).items()
        rows.append(Proportion(f"{unit} a word", mean[1], None, unit))
        rows += [Proportion(f"  {name} up to", value, None, unit) for name, value in quantiles]
    return rows
