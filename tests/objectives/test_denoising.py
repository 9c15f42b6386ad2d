"""What denoising hides, beside T5's algorithm in plain Python, and that nothing is lost."""

import collections
import functools

import numpy as np
import pytest
import tensorflow as tf
import tokenizers as hf_tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import objectives
from roots_tf.examples.row_maker import Chance
from roots_tf.objectives import denoising_noise as noising
from roots_tf.objectives.denoising_lengths import Denoiser, fill
from roots_tf.objectives.denoising_rows import DenoisingRows, ends_sentence, joined
from roots_tf.tokenizers.tokenizer import Tokenizer, wordpiece
from tests.objectives.test_causal_lm_rows import documents, written

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, BOS, EOS, MASK = 0, 2, 3, 4
FIRST = 5  # id of text
LETTERS = wordpiece([*SPECIAL, *"abcdefghijklmnopqrstuvwxyz.!?", "。", "我", "们"], lowercase=True)
T5 = Denoiser("spans", 0.15, 3.0)


def denoising(**flags) -> objectives.Denoising:
    return objectives.Denoising(**flags)


@functools.cache
def extended(objective, tokenizer=LETTERS) -> Tokenizer:
    return objective.tokenizer_of(tokenizer)


def features_of(objective, texts, length, tokenizer=LETTERS, step=0, **chance):
    """The batch of some texts, each a row, which are no longer than a row takes."""
    tokenizer = extended(objective, tokenizer)
    width = objective.tokens(length)[0]
    rows = [list(text) + [-1] * (width - len(text)) for text in texts]
    how = {"worker_slice": slice(None), "example_weights": tf.ones([len(rows)])} | chance
    count = len(rows), how["worker_slice"], how["example_weights"]
    chance = Chance(7, tf.constant(step, tf.int64), *count, tf.zeros([len(rows)], tf.int32))
    maker = DenoisingRows(objective, {}, "train", tokenizer, length)
    found = maker.features(tf.constant(rows, tf.int32), chance)
    return {name: feature.numpy() for name, feature in found.items()}


def tokens_of(features, row) -> tuple[list[int], list[int]]:
    """Source and target of a row, without padding."""
    return tuple(
        features[ids][row][features[mask][row]].tolist()
        for ids, mask in (("token_ids", "padding_mask"), ("target_ids", "decoder_padding_mask"))
    )


# T5, in plain Python: text-to-text-transfer-transformer, t5/data/preprocessors.py.


def segments(items: int, count: int, scores) -> list[int]:
    """`_random_segmentation`, where the lowest scores tell which items begin a segment."""
    begins = {i + 1 for i in np.argsort(scores[1:items], kind="stable")[: count - 1]}
    lengths = []
    for item in range(items):
        if item == 0 or item in begins:
            lengths.append(0)
        lengths[-1] += 1
    return lengths


def random_spans_noise_mask(length, noise, count, scores, turn) -> list[bool]:
    if not noise:
        return [False] * length
    hidden = segments(noise, count, scores[:noise])
    others = segments(length - noise, count, scores[noise:length])
    mask = []
    for stays, goes in zip(others, hidden, strict=True):
        mask += [False] * stays + [True] * goes
    first = int(np.float32(turn) * np.float32(length))
    return mask[first:] + mask[:first]


def with_sentinels(tokens, mask, sentinels) -> list[int]:
    """`noise_span_to_unique_sentinel`; with the mask reversed, the nonnoise one."""
    found, count = [], 0
    for place, (token, hides) in enumerate(zip(tokens, mask, strict=True)):
        if not hides:
            found.append(token)
        elif place == 0 or not mask[place - 1]:
            found.append(sentinels[count])
            count += 1
    return found


SIZES = st.integers(1, 60)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.floats(0.02, 0.9), st.floats(1, 12), st.integers(0, 1 << 30))
def test_spans_are_those_of_t5(size, rate, mean, seed):
    rng = np.random.default_rng(seed)
    width = 64
    scores, turn = rng.uniform(size=(3, width)).astype("f4"), rng.uniform(size=3).astype("f4")
    sizes = [size, max(1, size // 2), 1]
    counts = [Denoiser("spans", rate, mean).counts(n) for n in sizes]
    noise, count = (tf.constant(each) for each in zip(*counts, strict=True))
    found = noising.spans(tf.constant(sizes), noise, count, *map(tf.constant, (scores, turn)))
    for row, n in enumerate(sizes):
        wanted = random_spans_noise_mask(n, *counts[row], scores[row], turn[row])
        assert found[row].numpy().tolist() == wanted + [False] * (width - n)
        assert sum(wanted) == counts[row][0]


def test_every_way_to_part_a_text_is_as_likely():
    rows = 12_000
    rng = np.random.default_rng(0)
    draws = tf.constant(rng.uniform(size=(rows, 7)).astype("f4"))
    sizes, noise, count = (tf.fill([rows], n) for n in (7, 4, 2))
    masks = noising.spans(sizes, noise, count, draws, tf.zeros([rows])).numpy()
    found = collections.Counter(map(tuple, masks.tolist()))
    assert len(found) == 3 * 2  # 1+3, 2+2, 3+1; and 1+2, 2+1
    chi_squared = sum((n - rows / 6) ** 2 / (rows / 6) for n in found.values())
    assert chi_squared < 20.5  # five degrees of freedom: one seed in a thousand has more


def test_ends_of_a_row_are_hidden_as_often_as_its_middle():
    rows, width = 20_000, 40
    rng = np.random.default_rng(1)
    draws = tf.constant(rng.uniform(size=(rows, width)).astype("f4"))
    turn = tf.constant(rng.uniform(size=rows).astype("f4"))
    noise, count = T5.counts(width)
    sizes, noises, counts = (tf.fill([rows], n) for n in (width, noise, count))
    share = noising.spans(sizes, noises, counts, draws, turn).numpy().mean(0)
    deviation = (0.15 * 0.85 / rows) ** 0.5
    assert noise == 6 and np.abs(share - 0.15).max() < 4.5 * deviation


def test_lengths_are_those_of_t5s_helper():
    assert fill((T5,), 512, marks=1, spare=0) == (568, 114)
    for length, rate, mean in [(128, 0.15, 3.0), (64, 0.3, 4.0), (256, 0.5, 2.0)]:

        def lengths(tokens, rate=rate, mean=mean):  # `random_spans_helper`
            noise = int(round(tokens * rate))
            spans = int(round(noise / mean))
            return tokens - noise + spans + 1, noise + spans + 1

        tokens = length
        while lengths(tokens + 1)[0] <= length:
            tokens += 1
        assert fill((Denoiser("spans", rate, mean),), length, 1, 0) == (tokens, lengths(tokens)[1])
    with_ends_and_a_cut_span, target = denoising().tokens(512)
    assert (with_ends_and_a_cut_span, target) == (566, 115)


KINDS = [
    denoising(),
    denoising(noise_rate=0.5, span_length=2.0),
    denoising(denoising="prefix"),
    denoising(denoising="text_infilling"),
    denoising(denoising="text_infilling", noise_rate=0.6, span_length=1.0),
    denoising(denoising="mixture"),
    denoising(denoising="mixture", denoiser_weights=("x=1",)),
]


def check_rebuilds(objective, features, row, text, tokenizer=LETTERS):
    """The text follows from source and target; no id is twice in it."""
    ids = {t: i for i, t in enumerate(extended(objective, tokenizer).vocabulary)}
    source, target = tokens_of(features, row)
    assert source[0] == BOS and source[-1] == EOS and target[-1] == EOS
    source, target = source[1:-1], target[:-1]
    modes = [ids.get(f"<mode_{mode}>") for mode in "rxs"]
    mode = source.pop(0) if objective.denoising == "mixture" else None
    assert mode is None or mode in modes
    if objective.denoising == "text_infilling":
        assert target == text
        places = {token: place for place, token in enumerate(text)}
        before = -1
        for token, following in zip(source, [*source[1:], None], strict=True):
            if token == MASK:
                assert following != MASK
                hides = True
            else:
                assert places[token] == before + 1 or (hides and places[token] > before)
                before, hides = places[token], False
        assert before == len(text) - 1 or source[-1] == MASK
    elif objective.denoising == "prefix" or (mode is not None and mode == modes[2]):
        assert source + target == text and 1 <= len(target) <= max(1, len(text) // 2)
    else:
        sentinels = [ids[f"<extra_id_{i}>"] for i in range(100)]
        used = [token for token in source if token in sentinels]
        assert used == [token for token in target if token in sentinels]
        assert used == sentinels[: len(used)]
        spans = {}
        for token in target:
            if token in sentinels:
                spans[token] = []
            else:
                spans[used[len(spans) - 1]].append(token)
        assert all(spans.values())
        assert [t for token in source for t in spans.get(token, [token])] == text


@settings(max_examples=14, deadline=None)
@given(st.sampled_from(KINDS), st.integers(16, 40), st.integers(0, 1000), st.data())
def test_source_and_target_rebuild_the_text(objective, length, step, data):
    width = objective.tokens(length)[0]
    sizes = data.draw(st.lists(st.integers(1, width), min_size=1, max_size=4)) + [width, 1]
    rng = np.random.default_rng(step)
    texts = [(200 + rng.permutation(width)[:size]).tolist() for size in sizes]
    features = features_of(objective, texts, length, step=step)
    assert features["token_ids"].shape == (len(texts), length)
    for row, text in enumerate(texts):
        check_rebuilds(objective, features, row, text)


@pytest.mark.parametrize("objective", KINDS[:6:2], ids=lambda each: each.denoising)
@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [20, 1, 7, 24, 9], [70]])
def test_rows_of_records_hold_every_token_once(objective, lengths):
    texts = [[i + 200 for i in text] for text in documents(lengths)]
    content, shard = written(texts)
    manifest = {"word": "uint16", "max_seq_length": 8, "layout": "contiguous"}
    tokenizer = extended(objective)
    maker = DenoisingRows(objective, manifest, "train", tokenizer, 20)
    rows = maker.rows(tf.constant(content))
    assert len(rows) == maker.count(shard)
    kept = [[token for token in row if token >= 0] for row in rows.numpy().tolist()]
    features = features_of(objective, kept, 20)
    for row, text in enumerate(kept):
        check_rebuilds(objective, features, row, text)
    assert sorted(sum(kept, [])) == sorted(sum(texts, []))


def test_sentinels_by_hand():
    """The row is that of T5's functions, given the mask that its source shows."""
    objective = denoising(span_length=2.0, noise_rate=0.3)
    texts = [range(5, 25), range(6, 26), range(5, 8)]
    features = features_of(objective, texts, 24)
    tokenizer = extended(objective)
    sentinels = [tokenizer.vocabulary.index(f"<extra_id_{i}>") for i in range(100)]
    assert sentinels == list(range(LETTERS.size, LETTERS.size + 100))
    for row, text in enumerate(texts):
        source, target = tokens_of(features, row)
        mask = [token not in source for token in text]
        assert source == [BOS, *with_sentinels(text, mask, sentinels), EOS]
        told, before, left = [], False, iter(sentinels)
        for token, hides in zip(text, mask, strict=True):
            if hides:
                told += [token] if before else [next(left), token]
            before = hides
        assert target == [*told, EOS]
        start = features["decoder_token_ids"][row][features["decoder_padding_mask"][row]]
        assert start.tolist() == [BOS, *target[:-1]]
    assert features["target_weights"].tolist() == features["decoder_padding_mask"].tolist()
    assert not features["target_ids"][~features["decoder_padding_mask"]].any()


def test_masks_stand_for_spans_of_poissons_lengths():
    rows, width = 600, 200
    rng = np.random.default_rng(2)
    places, lengths = (rng.uniform(size=(rows, n)).astype("f4") for n in (width + 1, width))
    noise, count = Denoiser("infilling", 0.3, 3.0).counts(width)
    assert (noise, count) == (60, 20)
    sizes, noises, counts = (tf.fill([rows], n) for n in (width, noise, count))
    hidden, masks = noising.infilling(sizes, noises, counts, places, lengths)
    assert (hidden.numpy().sum(1) == noise).all() and (masks.numpy().sum(1) == count).all()
    found = []
    for row in range(rows):
        stays = np.flatnonzero(~hidden[row].numpy())
        gaps = np.diff([-1, *stays, width]) - 1  # hidden tokens before each that stays
        found += gaps[masks[row].numpy()[: len(gaps)]].tolist()
        assert not gaps[~masks[row].numpy()[: len(gaps)]].any()
    found = np.array(found)
    assert found.mean() == 3.0
    # A binomial distribution of 60 and 1/20, next to Poisson's: e^-3 = .050, and 3^3 e^-3 / 6.
    for length, chance in ((0, 0.046), (3, 0.230), (6, 0.049)):
        assert (found == length).mean() == pytest.approx(chance, abs=0.012)
    ends = hidden.numpy().mean(0)[[0, -1]]  # hidden where a span of some tokens lies there
    assert np.allclose(ends, 20 / 141 * (1 - 0.046), atol=0.06)


def test_sentences_change_places():
    by_hand = noising.permuted(
        tf.constant([[5, 9, 6, 7, 9, 8, -1]]),
        tf.constant([[True] * 6 + [False]]),
        tf.constant([[False, True, False, False, True, False, False]]),
        tf.constant([[0.7, 0.2, 0.5, 0, 0, 0, 0]]),
    )
    assert by_hand.numpy().tolist() == [[6, 7, 9, 8, 5, 9, -1]]
    ids, _ = LETTERS.encode(["a b. c d! e f? g h。我们。i j k l. m n o p"])
    objective = denoising(denoising="text_infilling", permute_sentences=0.5, noise_rate=0.05)
    features = features_of(objective, [ids.tolist()] * 200, 40)
    text, orders = ids.tolist(), []
    begins = [text[i] for i in (0, 3, 6, 9, 12, 15, 20)]
    for row in range(200):
        source, target = tokens_of(features, row)
        assert target == [*text, EOS] and len(source) >= len(text) + 1
        found = [begins.index(token) for token in source if token in begins]
        assert len(found) >= 6
        orders.append(found == sorted(found))
    assert 0.4 < np.mean(orders) < 0.62
    still = features_of(denoising(denoising="text_infilling"), [text] * 50, 40)
    for row in range(50):
        found = [begins.index(token) for token in tokens_of(still, row)[0] if token in begins]
        assert found == sorted(found)


def test_pieces_that_end_sentences():
    backend = hf_tokenizers.Tokenizer(hf_tokenizers.models.BPE())
    backend.pre_tokenizer = hf_tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = hf_tokenizers.decoders.ByteLevel()
    trainer = hf_tokenizers.trainers.BpeTrainer(special_tokens=["<s>."], show_progress=False)
    backend.train_from_iterator(['one."', "二。", "three"] * 20, trainer)
    tokenizer = Tokenizer(backend)
    ends = {tokenizer.backend.decode([i]) for i in np.flatnonzero(ends_sentence(tokenizer))}
    assert {".", '."', "。"} <= ends and not ends & {'"', "one", "<s>."}


def test_kinds_of_the_mixture_come_by_their_weights():
    objective = denoising(denoising="mixture", denoiser_weights=("r=1", "s=3"))
    text = list(range(200, 200 + objective.tokens(24)[0]))
    features = features_of(objective, [text] * 2000, 24)
    ids = extended(objective).vocabulary
    shares = [(features["token_ids"][:, 1] == ids.index(f"<mode_{m}>")).mean() for m in "rs"]
    assert sum(shares) == 1.0 and shares[0] == pytest.approx(0.25, abs=0.04)
    assert "<mode_x>" not in ids
    assert sum(each.weight for each in KINDS[5].denoisers) == pytest.approx(1)
    assert [round(each.weight * 7) for each in KINDS[5].denoisers] == [2, 2, 2, 1]


def test_parts_are_joined():
    part = tf.constant([[7, 8, 9]]), tf.constant([[True, False, True]])
    ids, inside = joined([2, part, 3], 5, 0)
    assert ids.numpy().tolist() == [[2, 7, 9, 3, 0]]
    assert inside.numpy().tolist() == [[True] * 4 + [False]]


def test_sentinels_come_behind_and_those_of_t5_stay():
    found = denoising().tokenizer_of(LETTERS)
    assert found.vocabulary[: LETTERS.size] == LETTERS.vocabulary
    assert found.vocabulary[LETTERS.size :] == [f"<extra_id_{i}>" for i in range(100)]
    assert found.special_ids == (*LETTERS.special_ids, *range(LETTERS.size, found.size))
    ids = [FIRST, LETTERS.size, FIRST + 1, LETTERS.size + 99]
    assert found.decode(ids) == "a b"
    assert denoising().tokenizer_of(found) is found
    assert denoising(denoising="prefix").tokenizer_of(LETTERS) is LETTERS
    own = [f"<extra_id_{i}>" for i in reversed(range(100))]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((c, -1.0) for c in "▁abcdef")]
    backend = hf_tokenizers.Tokenizer(hf_tokenizers.models.Unigram(pieces, unk_id=2))
    backend.add_special_tokens(["<pad>", "</s>", "<unk>", *own])
    t5 = Tokenizer(backend)
    assert denoising().tokenizer_of(t5) is t5 and (t5.bos_id, t5.pad_id, t5.eos_id) == (None, 0, 1)
    features = features_of(denoising(), [[4, 5, 6, 7, 8] * 3], 16, t5)
    source, target = tokens_of(features, 0)
    assert source[0] != 0 and source[-1] == target[-1] == 1
    assert max(source) == t5.vocabulary.index("<extra_id_0>") == t5.size - 1
    assert features["decoder_token_ids"][0, 0] == 0
    assert denoising().model_parts(t5, 16) == {
        "decoder": {"start_ids": (0,), "source_begins": False}
    }


def test_rows_that_fill_a_batch_tell_nothing():
    weights = tf.constant([1.0, 0.0])
    features = features_of(denoising(), [range(5, 20)] * 2, 24, example_weights=weights)
    assert features["target_weights"].sum(1).tolist()[1] == 0.0 < features["target_weights"].sum()
