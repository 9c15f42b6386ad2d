"""Sources in, targets out: against running the whole target each step, in any company."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.generation import Settings
from roots_tf.generation.sources import Sources, Target, ids_of
from roots_tf.models.config import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.storage.files import InputError

V, EOS, LONGEST = 19, 2, 40
IDS = {"eos_id": EOS, "pad_id": 0, "num_tokens": V - 2, "forbidden": (3,)}
BEAMS = Settings(decoding="beam", num_beams=4, max_new_tokens=9)


def made(preset="transformer", room=LONGEST, start_ids=(1,), forces_end=False, **fields):
    sizes = {"vocabulary_size": V, "num_layers": 2, "hidden_dim": 16, "num_heads": 2}
    sizes |= {"intermediate_dim": 24, "initializer_range": 0.5, "max_sequence_length": LONGEST}
    config = EncoderConfig(**preset_fields(preset) | sizes | fields)
    joined = {"output_bias": True, "start_ids": start_ids, "max_sequence_length": room}
    joined["forces_end"] = forces_end
    return models.EncoderDecoder(config, DecoderConfig.like(config, **joined), seed=4)


def written(model, settings, rows, num_return=1, seed=0, **ids):
    ids = {"start_ids": model.decoder_config.start_ids} | IDS | ids
    return Sources(model, settings, **ids).targets(rows, num_return, seed)


def sources(lengths=(5, 16, 1, 17, 9, 40), seed=0):
    draw = np.random.default_rng(seed)
    return [draw.integers(4, V - 2, length).astype(np.int32) for length in lengths]


def oracle(model):
    """Log-probabilities of what follows a target, by running the whole of it."""

    @tf.function(input_signature=[tf.TensorSpec([1, None], tf.int32)] * 2, autograph=False)
    def following(source, ids):
        features = {
            "token_ids": source,
            "padding_mask": tf.ones_like(source, tf.bool),
            "segment_ids": tf.zeros_like(source),
            "decoder_token_ids": ids,
            "decoder_padding_mask": tf.ones_like(ids, tf.bool),
        }
        return tf.nn.log_softmax(model.logits(model(features))[0, -1])

    start = model.decoder_config.start_ids
    return lambda row, target: following([row], [[*start, *target]]).numpy()


def greedily(following, row, steps):
    """A target by running all of it each step."""
    target, total = [], 0.0
    for _ in range(steps):
        chances = following(row, target)
        allowed = chances.copy()
        allowed[[0, 3, V - 2, V - 1]] = -np.inf
        token = int(allowed.argmax())
        total += float(chances[token])
        if token == EOS:
            return Target(tuple(target), total, total, "end_of_text")
        target.append(token)
    return Target(tuple(target), total, total, "max_new_tokens")


def with_beams(following, row, beams, steps, penalty, forces_end=False):
    """The finished beams (score, target with its end), best first, of a search that looks on."""
    alive, finished = [(0.0, ())], []
    for step in range(steps):
        ways = []
        for total, target in alive:
            chances = following(row, target)
            if forces_end and step == steps - 1:
                ways.append((total, (*target, EOS)))  # which is certain
                continue
            ways += [
                (total + float(chance), (*target, token))
                for token, chance in enumerate(chances)
                if token not in (0, 3, V - 2, V - 1)
            ]
        ways = sorted(ways, reverse=True)[: 2 * beams]
        ends = [way for way in ways[:beams] if way[1][-1] == EOS or step == steps - 1]
        finished += [(total / len(target) ** penalty, target) for total, target in ends]
        alive = [way for way in ways if way[1][-1] != EOS][:beams]
    return sorted(finished, reverse=True)[:beams]


def close(one, other):
    assert (one.ids, one.ended) == (other.ids, other.ended)
    assert one.score == pytest.approx(other.score, abs=1e-4)
    assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


@pytest.mark.parametrize("preset", ["transformer", "t5", "bert"])
def test_greedy_is_the_likeliest_token_of_the_whole_target(preset):
    model, rows = made(preset, start_ids=(1, 5)), sources((5, 17))
    greedy = Settings(decoding="greedy", max_new_tokens=7)
    following = oracle(model)
    for [target], row in zip(written(model, greedy, rows), rows, strict=True):
        close(target, greedily(following, row, 7))


@pytest.mark.parametrize("penalty", [-1.0, 0.6])
def test_beams_are_those_of_a_slow_search(penalty):
    model, rows = made(), sources((3, 9))
    settings = Settings(decoding="beam", num_beams=3, max_new_tokens=5, length_penalty=penalty)
    following = oracle(model)
    for targets, row in zip(written(model, settings, rows, 3), rows, strict=True):
        wanted = with_beams(following, row, 3, 5, penalty)
        assert len(targets) == 3
        for target, (score, ids) in zip(targets, wanted, strict=True):
            assert target.ids + (EOS,) * (target.ended == "end_of_text") == ids
            assert target.score == pytest.approx(score, abs=1e-4)
            assert target.log_probability == pytest.approx(score * len(ids) ** penalty, abs=1e-3)


@pytest.mark.parametrize("penalty", [-1.0, 0.6])
def test_beams_whose_end_is_forced_are_those_of_a_slow_search(penalty):
    model, rows = made(forces_end=True), sources((3, 9))
    model.bias.bias.assign(np.eye(V, dtype=np.float32)[EOS] * -2)  # most ends are forced
    settings = Settings(decoding="beam", num_beams=3, max_new_tokens=5, length_penalty=penalty)
    following = oracle(model)
    for targets, row in zip(written(model, settings, rows, 3, forces_end=True), rows, strict=True):
        wanted = with_beams(following, row, 3, 5, penalty, forces_end=True)
        assert len(targets) == 3
        for target, (score, ids) in zip(targets, wanted, strict=True):
            assert (*target.ids, EOS) == ids and target.ended == "end_of_text"
            assert target.score == pytest.approx(score, abs=1e-4)
            own = sum(following(row, ids[:i])[token] for i, token in enumerate(ids))
            assert target.log_probability == pytest.approx(own, abs=1e-3)


@pytest.mark.parametrize("least", [0, 4])
def test_a_forced_end_takes_the_last_place(least):
    model = made(forces_end=True)
    model.bias.bias.assign(np.eye(V, dtype=np.float32)[EOS] * -50)
    for how in ({"decoding": "greedy"}, {"decoding": "beam", "num_beams": 2}, {}):
        settings = Settings(max_new_tokens=4, min_new_tokens=least, **how)
        [[free]] = written(model, settings, sources((4,)))
        [[forced]] = written(model, settings, sources((4,)), forces_end=True)
        assert (len(free.ids), free.ended) == (4, "max_new_tokens")
        assert (len(forced.ids), forced.ended) == (3, "end_of_text")
        if how != {"decoding": "beam", "num_beams": 2}:
            assert forced.ids == free.ids[:3]


@pytest.mark.parametrize("settings", [BEAMS, Settings(max_new_tokens=9)])
def test_a_target_is_the_same_in_any_company(settings):
    model, rows, count = made("t5"), sources(), 2 if settings.decoding == "beam" else 1
    given = {"start_ids": (1,)} | IDS
    together = Sources(model, settings, **given, batch_size=4).targets(rows, count, seed=3)
    alone = Sources(model, settings, **given, batch_size=1)
    for row, targets in zip(rows, together, strict=True):
        for one, other in zip(targets, alone.targets([row], count, seed=3)[0], strict=True):
            close(one, other)
    if settings.decoding == "sample":
        assert together != alone.targets(rows, seed=4)


def test_what_has_no_tokens_is_read_as_the_end_of_text():
    model = made()
    [[empty], [ended]] = written(model, BEAMS, [[], [EOS]])
    close(empty, ended)
    assert written(model, BEAMS, []) == []


def test_weights_are_read_at_each_call():
    model, rows = made(), sources((5, 6))
    found = Sources(model, BEAMS, start_ids=(1,), **IDS)
    before = found.targets(rows)
    model.bias.bias.assign(np.eye(V, dtype=np.float32)[EOS] * 50)
    assert [target.ids for [target] in found.targets(rows)] == [(), ()]
    assert before != found.targets(rows)


def test_a_target_ends_where_the_decoder_has_no_more_room():
    model = made(room=6)
    model.bias.bias.assign(np.eye(V, dtype=np.float32)[EOS] * -50)
    for decoding, beams in (("greedy", {}), ("beam", {"num_beams": 2})):
        for asked, ended, count in ((3, "max_new_tokens", 3), (50, "window", 5)):
            settings = Settings(decoding=decoding, max_new_tokens=asked, **beams)
            [[target]] = written(model, settings, sources((4,)))
            assert (target.ended, len(target.ids)) == (ended, count)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rows": sources((3, 41))}, "found source 2 of 41 tokens.*at most 40"),
        ({"num_return": 5}, "found 5 targets asked of a source; wanted 1 to 4"),
        ({"start_ids": ()}, "found 0 ids that a target begins with"),
        ({"settings": Settings(stop=("x",))}, "found stop="),
    ],
)
def test_what_cannot_be_done_is_refused(asked, message):
    given = {"settings": BEAMS, "rows": sources((3,))} | asked
    with pytest.raises(InputError, match=message):
        written(made(), **given)


class Ends:
    """Ids of special tokens, as a tokenizer has them."""

    size, special_ids, causal_pad_id, eos_id = 9, (0, 1, 2, 5), 0, 2

    def __init__(self, bos_id=1):
        self.bos_id = bos_id


def test_a_target_has_no_special_token_but_its_end():
    config = made().decoder_config
    found = {"eos_id": 2, "pad_id": 0, "num_tokens": 9, "forbidden": (0, 1, 5)}
    found["forces_end"] = False
    unnamed = DecoderConfig.like(config, start_ids=())
    assert ids_of(Ends(), unnamed) == found | {"start_ids": (1,)}
    named = DecoderConfig.like(config, start_ids=(0,), source_begins=False, forces_end=True)
    wanted = found | {"start_ids": (0,), "forces_end": True}
    assert ids_of(Ends(bos_id=None), named) == wanted
    with pytest.raises(InputError, match=r"without special tokens for \['bos'\]"):
        ids_of(Ends(bos_id=None), unnamed)
