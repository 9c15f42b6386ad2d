"""Masking and pairing as plainly as they can be written, a row and a token at a time.

They are given the same numbers from the same source of chance as the graph, and nothing else of it.
Masking follows `create_masked_lm_predictions` of google-research/bert and, for spans, SpanBERT 3.1.
"""

import numpy as np


def mask_row(
    tokens, attended, strategy, rate, replace, most, vocabulary, draws, starts=None, begins=None
):
    """Masks one row.

    Args:
        tokens, attended: ids and padding mask, [L].
        vocabulary: dict of size, mask_id, never_ids, starts_word.
        starts, begins: whether a piece of text, and whether a word, starts with each token, [L].
        draws: dict of scores [L], actions [L], random_ids [P] and spans [L], each in [0, 1).

    Returns:
        The masked tokens, positions and ids.
    """
    length = len(tokens)
    candidate = [
        bool(attended[i]) and tokens[i] not in vocabulary["never_ids"] for i in range(length)
    ]
    wanted = min(most, max(1, int(round(sum(attended) * rate))))

    words = words_of(tokens, candidate, strategy, vocabulary, starts, begins, wanted)
    chosen = {}  # position to the place whose draw decides what becomes of it
    if strategy == "token":
        for word in sorted(words, key=lambda w: -draws["scores"][w["tokens"][0]])[:wanted]:
            chosen[word["tokens"][0]] = word["tokens"][0]
    elif strategy == "whole_word":
        order = sorted(range(len(words)), key=lambda w: draws["scores"][w])
        for w in order:
            if len(chosen) + len(words[w]["tokens"]) <= wanted:
                chosen |= {i: i for i in words[w]["tokens"]}
    else:
        masked = set()
        for w in sorted(range(len(words)), key=lambda w: -draws["scores"][w]):
            fits = len(chosen) + len(words[w]["tokens"]) <= wanted
            if w in masked or not fits:
                continue
            uniform = np.float32(draws["spans"][w])
            span = 1 + int(np.log1p(-uniform) / np.float32(np.log1p(-0.2)))
            for v in range(w, min(w + min(span, 10), len(words))):
                if v > w and words[v]["first"]:
                    break
                if v in masked:
                    continue
                if len(chosen) + len(words[v]["tokens"]) > wanted:
                    break
                masked.add(v)
                chosen |= {i: w for i in words[v]["tokens"]}

    chosen |= part_of_a_word(words, chosen, strategy, wanted, draws)
    assert len(chosen) == min(wanted, sum(candidate))

    masked_tokens = list(tokens)
    positions = sorted(chosen)
    for p, position in enumerate(positions):
        action = draws["actions"][chosen[position]]
        if action < replace[0]:
            masked_tokens[position] = vocabulary["mask_id"]
        elif action < replace[0] + replace[1]:
            masked_tokens[position] = int(np.float32(draws["random_ids"][p]) * vocabulary["size"])
    return masked_tokens, positions, [tokens[i] for i in positions]


def words_of(tokens, candidate, strategy, vocabulary, starts, begins, wanted):
    """Words of a row, none longer than the budget `wanted`."""
    if begins is None:
        begins = [vocabulary["starts_word"][token] for token in tokens]
    words = []
    for i in range(len(tokens)):
        if not candidate[i]:
            continue
        new_piece = i == 0 or not candidate[i - 1] or (starts is not None and bool(starts[i]))
        if strategy == "token" or new_piece or begins[i]:
            words.append({"tokens": [i], "first": new_piece})
        else:
            words[-1]["tokens"].append(i)
    whole, words = words, []
    for word in whole:  # one longer than the budget is taken token by token
        if len(word["tokens"]) <= wanted:
            words.append(word)
        else:
            words += [{"tokens": [i], "first": False} for i in word["tokens"]]
            words[-len(word["tokens"])]["first"] = word["first"]
    return words


def part_of_a_word(words, chosen, strategy, wanted, draws):
    """What fills the room that is left where no word fits: a part of the first in the order."""
    room = wanted - len(chosen)
    rest = [w for w in range(len(words)) if words[w]["tokens"][0] not in chosen]
    if strategy == "token" or not room or not rest:
        return {}
    scores = np.float32(1) - draws["scores"] if strategy == "whole_word" else draws["scores"]
    w = max(rest, key=lambda w: scores[w])
    most = len(words[w]["tokens"]) - room
    skipped = min(int(np.float32(draws["spans"][w]) * np.float32(most + 1)), most)
    part = words[w]["tokens"][skipped : skipped + room]
    return {i: i if strategy == "whole_word" else w for i in part}


def pair_row(row, batch, max_seq_length, objective, share, uniform, offsets):
    """Segments and label of one row.

    Args:
        batch: list of (document, A, B).
        uniform: three numbers in [0, 1).
        offsets: how far away the records are that may give a wrong B, in the order of trial.
    """
    capacity = max_seq_length - 3
    document, a, b = batch[row]
    single = not b
    room = max(capacity - len(a), capacity // 2) if single else len(b)
    best, best_cost = None, None
    for offset in offsets:
        other, _, other_b = batch[(row + offset) % len(batch)]
        if other == document or not other_b:
            continue
        excess = len(other_b) - room
        cost = (0, excess) if excess >= 0 else (1, -excess)
        if best is None or cost < best_cost:
            best, best_cost = other_b, cost
    if objective == "sop" and not single:
        return (b, a, 1) if uniform[0] < share else (a, b, 0)
    if best is None or not (single or uniform[0] < share):
        return a[:capacity], b, int(single)
    spare = max(0, len(best) - room)
    front = int(np.float32(spare + 1) * np.float32(uniform[1]))
    b = best[front : front + len(best) - spare]
    spare = max(0, len(a) - (capacity - len(b)))
    front = int(np.float32(spare + 1) * np.float32(uniform[2]))
    return a[front : front + len(a) - spare], b, 1
