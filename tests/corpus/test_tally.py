import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import SAMPLES, Tally, edge, order, size

seen = st.lists(
    st.tuples(
        st.sampled_from(["keep", "short", "junk"]),
        st.text(max_size=5),
        st.sampled_from(["", "en", "th"]),
        st.dictionaries(st.sampled_from(["words", "share"]), st.integers(0, 500), max_size=2),
    )
)


def tally_of(events):
    tally = Tally()
    for what, text, language, measured in events:
        document = Document(text, "somewhere", language)
        after = document if what == "keep" else what
        measured = {name: value / 100 for name, value in measured.items()}
        tally.see(document, after, measured, order(text), (size(text), size(text)))
    return tally


@given(seen, seen)
def test_merging_is_as_counting_at_once(first, second):
    merged = Tally()
    merged.merge(tally_of(first).to_json())
    merged.merge(tally_of(second).to_json())
    assert merged.to_json() == tally_of(first + second).to_json()
    assert merged.to_json() == tally_of(second + first).to_json()
    merged.check()


@given(seen)
def test_counts(events):
    tally = tally_of(events)
    for reason in ("short", "junk"):
        texts = [text for what, text, *_ in events if what == reason]
        counts = tally.to_json()["dropped"].get(reason, {"documents": 0, "bytes": 0})
        assert counts == {"documents": len(texts), "bytes": sum(map(size, texts))}
    kept = [language for what, _, language, _ in events if what == "keep"]
    assert {name: n for name, (n, _) in tally.languages.items()} == {
        language: kept.count(language) for language in set(kept)
    }
    measured = [measured["words"] for *_, measured in events if "words" in measured]
    histograms = tally.to_json()["measures"].get("words", {}).values()
    assert sum(documents for bins in histograms for _, documents in bins) == len(measured)


def test_samples_are_few_and_short():
    tally = tally_of([("junk", f"{i}" * 1000, "", {}) for i in range(100)])
    assert len(tally.samples["dropped"]) == SAMPLES
    assert max(len(sample[4]) for sample in tally.samples["dropped"]) == 300
    ranks = sorted(order(f"{i}" * 1000) for i in range(100))
    assert [sample[0] for sample in tally.samples["dropped"]] == ranks[:SAMPLES]
    assert tally.to_json()["dropped"]["junk"]["documents"] == 100


def test_documents_that_get_lost_are_noticed():
    tally = tally_of([("keep", "a", "", {}), ("junk", "b", "", {})])
    tally.check()
    tally.read("c")
    with pytest.raises(RuntimeError, match="3 in, 1 kept and 1 dropped"):
        tally.check()


def test_the_sink_is_given_what_is_dropped():
    sunk = []
    tally = Tally(lambda document, reason: sunk.append((document.text, reason)))
    tally.drop("not_json", "{", "a.jsonl")
    tally.see(Document("b", "x"), "junk", {}, "0", (1, 0))
    tally.see(Document("c", "x"), Document("c", "x"), {}, "0", (1, 1))
    assert sunk == [("{", "not_json"), ("b", "junk")]


@given(st.floats(-1e9, 1e9))
def test_a_value_is_in_its_bin(value):
    low = edge(value)
    assert low <= value + 1e-6 * max(1, abs(value))
    assert value - low <= max(0.0101, 0.101 * abs(value))
    assert edge(low) == pytest.approx(low)


@pytest.mark.parametrize("hundredths", range(101))
def test_shares_keep_their_hundredths(hundredths):
    assert edge(hundredths / 100) == hundredths / 100


def test_edges():
    assert [edge(v) for v in (9.99, 10, 99.9, 100, 12_345, math.inf)] == [
        9.9,
        10,
        99,
        100,
        12_000,
        math.inf,
    ]
