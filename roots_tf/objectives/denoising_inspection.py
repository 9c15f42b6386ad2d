"""Batches of denoising for people: pieces of sources and targets, and measured proportions."""

from collections.abc import Iterable

import numpy as np

from roots_tf.objectives.denoising_lengths import MODE, SENTINEL
from roots_tf.objectives.objective import Proportion
from roots_tf.tokenizers.shown import shown


def render(features: dict[str, np.ndarray], row: int, tokenizer) -> str:
    """The pieces of one row of a batch: its source, and in the next line its target.

    Args:
        features: a batch as NumPy arrays.
        row: which row of it.
        tokenizer: with sentinels.
    """
    source = features["token_ids"][row][features["padding_mask"][row]]
    target = features["target_ids"][row][features["decoder_padding_mask"][row]]
    return "\n".join(" ".join(shown(tokenizer, ids)) for ids in (source, target))


def proportions(batches: Iterable[dict[str, np.ndarray]], tokenizer, objective) -> list[Proportion]:
    """Measures some batches; rows that only fill a batch do not count.

    Args:
        batches: batches as NumPy arrays.
        tokenizer: with sentinels.
        objective: the flags, a `denoising.Denoising`.
    """
    ids = {token: i for i, token in enumerate(tokenizer.vocabulary)}
    sentinels = [SENTINEL.format(i) for i in range(objective.num_sentinels)]
    sentinels = [ids[name] for name in sentinels if objective.has_sentinels]
    modes = {each.mode: ids[MODE.format(each.mode)] for each in objective.denoisers if each.mode}
    infills = objective.denoising == "text_infilling"
    marks = [*sentinels, *modes.values(), tokenizer.bos_id, tokenizer.eos_id]
    marks += [tokenizer.mask_id] * infills
    marks = [mark for mark in marks if mark is not None]
    rows, text, noise, spans, places, inside = 0, 0, 0, 0, np.zeros(2), np.zeros(2)
    of_modes = dict.fromkeys(modes, 0)
    for batch in batches:
        real = batch["example_weights"] > 0
        batch = {name: feature[real] for name, feature in batch.items()}
        masks = batch["padding_mask"], batch["decoder_padding_mask"]
        source, target = batch["token_ids"][masks[0]], batch["target_ids"][masks[1]]
        stays, told = (int((~np.isin(each, marks)).sum()) for each in (source, target))
        rows += int(real.sum())
        text += told if infills else stays + told
        noise += told - stays if infills else told
        spans += int((source == tokenizer.mask_id).sum() if infills else 0)
        spans += int(np.isin(source, sentinels).sum())
        places += [mask.size for mask in masks]
        inside += [mask.sum() for mask in masks]
        for mode, number in modes.items():
            of_modes[mode] += int((source == number).sum())
    alone = objective.denoisers[0] if len(objective.denoisers) == 1 else None
    shares = {
        mode: sum(each.weight for each in objective.denoisers if each.mode == mode)
        for mode in modes
    }
    found = [Proportion("noise", noise / max(text, 1), alone and alone.rate or None)]
    if spans and alone:
        found.append(Proportion("tokens a span", noise / spans, None, "tokens"))
    found += [
        Proportion(f"rows of kind {mode}", of_modes[mode] / max(rows, 1), shares[mode])
        for mode in modes
    ]
    padding = 1 - inside / np.maximum(places, 1)
    found.append(Proportion("padding of sources", float(padding[0]), None))
    return [*found, Proportion("padding of targets", float(padding[1]), None)]
