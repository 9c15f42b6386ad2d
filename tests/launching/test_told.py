"""Who is silent and who is slow."""

from types import SimpleNamespace

from roots_tf.launching.told import Told


class Worker(SimpleNamespace):
    __hash__ = object.__hash__

    def __str__(self):
        return self.name


def workers(*names):
    return [Worker(name=name, heard=0.0, status=None, facts={}) for name in names]


def test_silence_is_told_once_within_half_a_minute_and_dead_later(caplog):
    a, b = workers("worker 0", "worker 1 (host b)")
    b.facts["step"] = 1200
    told = Told(dead_after=100.0)
    found = {}
    for now in range(0, 120, 5):
        a.heard = float(now)
        found[now] = told.look([a, b], float(now))
    assert caplog.messages == ["worker 1 (host b) has said nothing for 30 s; it was at step 1,200"]
    assert {now for now, dead in found.items() if dead is b} == {100, 105, 110, 115}
    assert a not in found.values()
    b.heard = 120.0
    assert told.look([a, b], 120.0) is None
    assert caplog.messages[1:] == ["worker 1 (host b) speaks again"]


def test_one_that_has_ended_is_not_silent_and_0_is_never_dead(caplog):
    a, b = workers("worker 0", "worker 1")
    a.status = 0
    assert Told(dead_after=0.0).look([a, b], 1e6) is None
    assert caplog.messages == ["worker 1 has said nothing for 1000000 s"]


def beats(own_of_a, own_of_b, step=1.0):
    """What is told of two workers that make a step each second, after a minute."""
    a, b = workers("worker 0", "worker 1")
    told = Told(0.0)
    for now in range(0, 61, 5):
        for worker, own in ((a, own_of_a), (b, own_of_b)):
            worker.heard = float(now)
            worker.facts = {"steps": now / step, "own": own * now / step}
        told.look([a, b], float(now))


def test_a_slow_worker_is_told_once(caplog):
    beats(0.3, 0.9)
    assert caplog.messages == [
        "worker 1 is slow: its part of a step takes 0.9 s, where the others take 0.3 s and wait "
        "for it"
    ]


def test_what_differs_little_or_takes_little_of_a_step_is_not_told(caplog):
    beats(0.6, 0.8)
    beats(0.01, 0.05)
    beats(0.5, 0.5)
    assert caplog.messages == []
