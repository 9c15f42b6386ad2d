import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.corpus.tally import SAMPLES, Tally

events = st.lists(st.tuples(st.sampled_from(["keep", "short", "junk"]), st.text(max_size=5)))


def tally_of(events):
    tally = Tally()
    for what, text in events:
        tally.read(text)
        if what == "keep":
            tally.keep(text)
        else:
            tally.drop(what, text, "somewhere")
    return tally


@given(events, events)
def test_merging_is_as_counting_at_once(first, second):
    merged = Tally()
    merged.merge(tally_of(first).to_json())
    merged.merge(tally_of(second).to_json())
    assert merged.to_json() == tally_of(first + second).to_json()
    assert merged.to_json() == tally_of(second + first).to_json()
    merged.check()


def test_samples_are_few_and_short():
    tally = tally_of([("junk", f"{i}" * 1000) for i in range(100)])
    assert len(tally.samples["junk"]) == SAMPLES
    assert max(len(text) for *_, text in tally.samples["junk"]) == 300
    assert tally.to_json()["dropped"]["junk"]["documents"] == 100


def test_documents_that_get_lost_are_noticed():
    tally = tally_of([("keep", "a"), ("junk", "b")])
    tally.check()
    tally.read("c")
    with pytest.raises(RuntimeError, match="3 in, 1 kept and 1 dropped"):
        tally.check()
