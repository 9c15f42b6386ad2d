"""Translations as segments A and B: records, rows, masks on both sides, and what is refused."""

import random

import numpy as np
import pytest

from pipelines import build_examples
from roots_tf import examples, tokenizers
from roots_tf.examples.layouts import TranslationLayout
from roots_tf.examples.planning import BuildSettings
from roots_tf.objectives import MaskedLM
from roots_tf.storage import files
from roots_tf.tokenizers.tokenizer import wordpiece

ENGLISH = ["sea", "ship", "dog", "house", "way"]
GERMAN = ["meer", "schiff", "hund", "haus", "weg"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("translated"), random.Random(0)
    wordpiece([*SPECIAL, *ENGLISH, *GERMAN], lowercase=True).save(folder / "vocabulary")
    words = [[rng.randrange(5) for _ in range(rng.randint(1, 20))] for _ in range(300)]
    for name, language in (("en", ENGLISH), ("de", GERMAN)):
        lines = [" ".join(language[word] for word in line) for line in words]
        (folder / f"text.{name}").write_text("\n".join([*lines, ""]))
    build_examples.main(
        build_examples.Config(
            input=(f"{folder}/text.en", f"{folder}/text.de"),
            tokenizer=str(folder / "vocabulary"),
            output=str(folder / "examples"),
            layout="translation",
            max_seq_length=32,
            held_out=0.1,
            num_workers=1,
        )
    )
    return folder / "examples"


def batches(folder, count=3, **flags):
    objective = MaskedLM(sentence_objective="translation")
    flags = {"batch_size": 16, "seed": 3} | flags
    found = examples.pipeline(folder, objective.make_rows, **flags).take(count)
    return list(found.as_numpy_iterator())


def test_a_row_is_a_sentence_and_its_translation(translated):
    tokenizer = tokenizers.load(translated / "tokenizer")
    masked = np.zeros(2)
    for batch in batches(translated, 10):
        tokens = batch["token_ids"].copy()
        used = batch["masked_lm_weights"] > 0
        rows = np.nonzero(used)[0]
        places = batch["masked_lm_positions"][used]
        tokens[rows, places] = batch["masked_lm_ids"][used]
        np.add.at(masked, batch["segment_ids"][rows, places], 1)
        assert "next_sentence_labels" not in batch
        for row in range(16):
            real = tokens[row][batch["padding_mask"][row]]
            segments = batch["segment_ids"][row][batch["padding_mask"][row]]
            assert real[0] == tokenizer.cls_id
            assert (np.flatnonzero(real == tokenizer.sep_id) == np.flatnonzero(
                np.append(np.diff(segments), 1)
            )).all()  # fmt: skip
            english, german = real[1:][segments[1:] == 0][:-1], real[segments == 1][:-1]
            both = min(len(english), len(german))  # the end of one may be cut
            assert (english[:both] - 5 == german[:both] - 10).all()
    assert 0.4 < masked[0] / masked.sum() < 0.6


def test_workers_and_steps(translated):
    whole = batches(translated)
    parts = [batches(translated, num_workers=2, worker_index=i) for i in range(2)]
    for step in range(3):
        for name, value in whole[step].items():
            joined = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(joined, value)
    again = batches(translated, 1, start_step=2)[0]
    np.testing.assert_array_equal(again["token_ids"], whole[2]["token_ids"])


@pytest.mark.parametrize(
    "lengths, wanted",
    [((3, 4), (3, 4)), ((10, 40), (10, 19)), ((40, 10), (19, 10)), ((40, 40), (15, 14))],
)
def test_the_longer_side_is_cut(lengths, wanted):
    ends = np.array([100, 100 + lengths[0], 100 + sum(lengths)])
    settings = BuildSettings(max_seq_length=32, layout="translation")
    [(start_a, end_a, start_b, end_b)] = TranslationLayout.cut(ends, settings, None).spans
    assert (start_a, start_b) == (100, 100 + lengths[0])
    assert (end_a - start_a, end_b - start_b) == wanted


def test_a_pair_with_one_side_only_gives_nothing():
    settings = BuildSettings(max_seq_length=32, layout="translation")
    cut = TranslationLayout.cut(np.array([0, 5]), settings, None)
    assert (cut.spans, cut.of_corpus["one_sided"]) == ([], 1)


def test_translations_and_pairs_are_not_taken_for_one_another(translated, built):
    manifest = examples.load(translated)
    for name in ("nsp", "sop"):
        with pytest.raises(files.InputError, match="found examples of layout translation; wanted"):
            MaskedLM(sentence_objective=name).check(manifest, 8, 32)
    with pytest.raises(files.InputError, match="of layout pairs; wanted translation .*--layout=t"):
        MaskedLM(sentence_objective="translation").check(built.manifest, 8, 64)
    MaskedLM(sentence_objective="none").check(manifest, 8, 32)  # rows packed full of both
