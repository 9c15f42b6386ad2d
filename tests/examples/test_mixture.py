"""Mixtures: shares, the choice of rows beside a walk, epochs of each source, what is refused."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf import examples
from roots_tf.examples import mixture, reading
from roots_tf.objectives import MaskedLM
from roots_tf.storage import files
from roots_tf.storage.sources import Mixing
from roots_tf.tokenizers.tokenizer import wordpiece
from tests.examples.conftest import build
from tests.examples.test_reading import assert_same, batches

WORDS = {"one": ["sea", "ship", "moor"], "two": ["haus", "baum", "weg"], "few": ["mare", "nave"]}
DOCUMENTS = {"one": 60, "two": 30, "few": 12}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def languages(tmp_path_factory):
    """Examples of three languages that share no word, by name; one tokenizer."""
    folder, rng = tmp_path_factory.mktemp("languages"), random.Random(0)
    wordpiece([*SPECIAL, ".", *sum(WORDS.values(), [])], lowercase=True).save(folder / "vocabulary")
    found = {}
    for name, count in DOCUMENTS.items():

        def sentence(name=name):
            return " ".join(rng.choices(WORDS[name], k=rng.randint(3, 14))) + " ."

        texts = ["\n".join(sentence() for _ in range(rng.randint(2, 30))) for _ in range(count)]
        (folder / name).mkdir()
        table = pa.table({"id": [f"{name} {i}" for i in range(count)], "text": texts})
        pq.write_table(table, folder / name / "documents.parquet")
        flags = {"max_seq_length": 32, "num_shards": 2, "held_out": 0.1}
        found[name] = build(folder / name, folder / "vocabulary", folder / f"e {name}", **flags)
    return found


def text_of(languages, *names):
    return ",".join(f"{name}={languages[name].folder}" for name in names or languages)


def mixed(languages, objective=MaskedLM(), batch_size=32, **flags):  # noqa: B008
    manifest = mixture.load(text_of(languages))
    return mixture.of(manifest, Mixing(**flags), objective, batch_size, 32)


def read(languages, count, objective=MaskedLM(), **flags):  # noqa: B008
    own = {k: flags.pop(k) for k in ("mixture_alpha", "mixture_weights") if k in flags}
    own = own or {"mixture_alpha": 0.5}
    flags = {"batch_size": 32, "seed": 7} | flags
    source = mixed(languages, objective, flags["batch_size"], **own)
    dataset = examples.pipeline(source, objective.make_rows, **flags)
    return list(dataset.take(count).as_numpy_iterator())


def language_of_rows(languages, batch):
    """The place of the language of each row; a row of two fails; one of full stops alone is 0."""
    tokenizer = languages["one"].tokenizer
    tokens = batch["token_ids"].copy()
    np.put_along_axis(tokens, batch["masked_lm_positions"], batch["masked_lm_ids"], axis=1)
    names = sorted(DOCUMENTS)
    ids = [[tokenizer.vocabulary.index(word) for word in WORDS[name]] for name in names]
    there = np.stack([np.isin(tokens, own).any(axis=1) for own in ids])
    assert (there.sum(axis=0) <= 1).all()
    return there.argmax(axis=0)


@given(st.integers(0, 60), st.integers(1, 50), st.integers(0, 80), st.integers(0, 80))
def test_the_sum_of_floors(count, modulus, stride, offset):
    wanted = sum((stride * i + offset) // modulus for i in range(count))
    assert mixture.floor_sum(count, modulus, stride, offset) == wanted


@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=6), st.integers(0, 99))
def test_rows_before_a_row_are_counted_as_a_walk_counts_them(weights, seed):
    choice = mixture.Choice.of([weight / sum(weights) for weight in weights], seed)
    places = [choice.place(row) for row in range(300)]
    for place, weight in enumerate(weights):
        for row in (0, 1, 100, 299):
            assert choice.count(place, row) == places[:row].count(place)
        # Every stretch of rows holds its share to a few rows.
        assert abs(places[100:].count(place) - 200 * weight / sum(weights)) < 5
    far = 10**15
    assert sum(choice.count(place, far) for place in range(len(weights))) == far
    step = [choice.count(p, far + 1) - choice.count(p, far) for p in range(len(weights))]
    assert step.index(1) == choice.place(far)


def test_the_graph_chooses_as_python_does():
    choice = mixture.Choice.of([0.2, 0.5, 0.3], seed=3)
    for row in (0, 1, 2, 3, 12345, 2**31 - 1, 2**31, 10**12):
        assert int(reading._place_of(np.int64(row), choice)) == choice.place(row)


@pytest.mark.parametrize("objective", ["nsp", "none"])
def test_a_batch_does_not_depend_on_where_the_run_started(languages, objective):
    objective = MaskedLM(sentence_objective=objective)
    whole = read(languages, 40, objective)
    assert_same(read(languages, 1, objective, start_step=39), whole[39:])


def test_step_a_million_starts_at_once(languages):
    far = read(languages, 2, start_step=1_000_000)
    assert_same(read(languages, 1, start_step=1_000_001), far[1:])
    other = read(languages, 1, start_step=1_000_000, seed=8)[0]
    assert (other["token_ids"] != far[0]["token_ids"]).any()


def test_workers_share_the_global_batch(languages):
    whole = read(languages, 2)
    parts = [read(languages, 2, num_workers=2, worker_index=i) for i in range(2)]
    for step in range(2):
        joined = {k: np.concatenate([part[step][k] for part in parts]) for k in whole[0]}
        assert_same([joined], [whole[step]])


@pytest.mark.parametrize(
    "flags, wanted",
    [
        ({"mixture_weights": ("one=1", "two=2", "few=5")}, {"one": 1, "two": 2, "few": 5}),
        ({"mixture_alpha": 0.0}, {"one": 1, "two": 1, "few": 1}),
    ],
)
@pytest.mark.parametrize("objective", ["nsp", "none"])
def test_shares_are_of_tokens(languages, objective, flags, wanted):
    tokens = np.zeros(3)
    for batch in read(languages, 60, MaskedLM(sentence_objective=objective), **flags):
        special = batch["padding_mask"].sum(axis=1) - 3
        np.add.at(tokens, language_of_rows(languages, batch), special)
    wanted = np.array([wanted[name] for name in sorted(wanted)]) / sum(wanted.values())
    np.testing.assert_allclose(tokens / tokens.sum(), wanted, atol=0.02)


def test_each_source_is_read_in_epochs_of_its_own(languages):
    source = mixed(languages, mixture_alpha=0.5)
    opened = [reading._open(f, MaskedLM().make_rows, "train", 32) for f in source.folders.values()]
    rows = reading._mixed_rows(opened, source.row_shares, 7, 0)
    found = {place: [] for place in range(3)}
    for record, place in rows.take(6000).as_numpy_iterator():
        found[int(place)].append(record)
    assert list(source.folders) == ["few", "one", "two"]
    for place, name in enumerate(source.folders):
        epoch = languages[name].manifest["splits"]["train"]["examples"]
        assert len(found[place]) > 2 * epoch
        first, second = found[place][:epoch], found[place][epoch : 2 * epoch]
        assert sorted(first) == sorted(second)
        assert len(set(first)) == epoch
        assert first != second


def test_a_wrong_second_segment_is_of_the_same_language(languages):
    labels = []
    for batch in read(languages, 40, mixture_alpha=0.0):
        places = language_of_rows(languages, batch)
        labels += list(zip(places.tolist(), batch["next_sentence_labels"].tolist(), strict=True))
    for place in range(3):
        of_place = [label for other, label in labels if other == place]
        assert 0.4 < np.mean(of_place) < 0.6


def test_the_order_of_the_sources_does_not_count(languages):
    texts = [text_of(languages, *order) for order in (("one", "two", "few"), ("few", "two", "one"))]
    assert mixture.load(texts[0]) == mixture.load(texts[1])


def test_a_folder_without_a_name_is_read_as_before(languages):
    one = languages["one"]
    manifest = mixture.load(str(one.folder))
    assert manifest == one.manifest
    assert mixture.of(manifest, Mixing(), MaskedLM(), 32, 32) is None
    assert len(batches(one, 2)) == 2


def test_what_each_source_gives_is_told(languages):
    source = mixed(languages, mixture_weights=("one=1", "two=1", "few=2"))
    described = source.describe(10_000)
    assert sum(part["rows"] for part in described.values()) == pytest.approx(10_000, abs=2)
    assert described["few"]["token_share"] == pytest.approx(0.5, abs=1e-3)
    epoch = languages["few"].manifest["splits"]["train"]["examples"]
    assert described["few"]["epochs"] == pytest.approx(described["few"]["rows"] / epoch, abs=1e-2)
    assert len(mixture.table(described).splitlines()) == 4


def test_sources_that_do_not_go_together_are_refused(languages, contiguous, tmp_path):
    one, two = languages["one"].folder, languages["two"].folder
    for text, message in (
        (f"one={one},other={contiguous.folder}", "found tokenizer fingerprint .* source other"),
        (f"one={one},two={tmp_path}/none", "found no .*none/manifest.json"),
        (f"one={one},{two}", "wanted name=path for each"),
    ):
        with pytest.raises(files.InputError, match=message):
            mixture.load(text)


@pytest.mark.parametrize(
    "flags, batch_size, message",
    [
        ({"mixture_weights": ("one=1", "two=1")}, 32, "a weight for each of them"),
        ({"mixture_weights": ("one=1", "two=1", "few=1", "x=1")}, 32, "of few, one, two, x"),
        ({"mixture_weights": ("one=0", "two=1", "few=1")}, 32, "found 'one=0'"),
        ({"mixture_weights": ("one=1", "two=1", "few=nan")}, 32, "found 'few=nan'"),
        ({"mixture_weights": ("one=1", "two=1", "few=-1")}, 32, "found 'few=-1'"),
        ({"mixture_weights": ("one", "two=1", "few=1")}, 32, "found 'one'"),
        ({"mixture_weights": ("one=1", "one=1", "few=1")}, 32, "each name once"),
        ({"mixture_weights": ("one=1000000", "two=1", "few=.005")}, 32, "found a share of"),
        ({"mixture_alpha": 0.5, "mixture_weights": ("one=1",)}, 32, "wanted one or the other"),
        (
            {"mixture_weights": ("one=20", "two=20", "few=1")},
            32,
            "of the source few, of which a batch of 32 may hold 1: .*two",
        ),
    ],
)
def test_flags_without_sense_are_refused(languages, flags, batch_size, message):
    with pytest.raises(files.InputError, match=message):
        mixed(languages, batch_size=batch_size, **flags)


def test_flags_of_a_mixture_beside_a_plain_folder_are_refused(languages):
    manifest = mixture.load(str(languages["one"].folder))
    with pytest.raises(files.InputError, match="found --mixture_alpha without named sources"):
        mixture.of(manifest, Mixing(mixture_alpha=0.3), MaskedLM(), 32, 32)
