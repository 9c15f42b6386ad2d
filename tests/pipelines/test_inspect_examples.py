"""inspect-examples: what a person sees, what is measured, and what --verify finds."""

import shutil

import numpy as np
import pytest

from pipelines import inspect_examples
from roots_tf import program
from roots_tf.objectives import masked_lm_inspection
from roots_tf.storage import files
from tests.examples import conftest

# The fixtures of the other folder, under their own names.
texts, documents = conftest.texts, conftest.documents
vocabulary, built, contiguous = conftest.vocabulary, conftest.built, conftest.contiguous


class Toy:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "gar", "##den", "sea"]
    cls_id, sep_id, mask_id, size = 2, 3, 4, 9
    kind, settings = "wordpiece", {"model": {"type": "WordPiece"}}


class ToyOfBytes(Toy):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "åĮĹäº¬", "çļĦ", "åĮ", "Ĺ"]
    settings = {"pre_tokenizer": {"type": "ByteLevel"}}
    added_tokens = [{"content": name} for name in vocabulary[:5]]


def test_a_row_is_shown_with_its_predictions_marked():
    features = {
        "token_ids": np.array([[2, 5, 4, 8, 3, 5, 3, 0]]),
        "padding_mask": np.array([[True] * 7 + [False]]),
        "segment_ids": np.array([[0, 0, 0, 0, 0, 1, 1, 0]]),
        "masked_lm_positions": np.array([[2, 3, 5, 0]]),
        "masked_lm_ids": np.array([[6, 7, 5, 0]]),
        "masked_lm_weights": np.array([[1.0, 1.0, 1.0, 0.0]]),
        "next_sentence_labels": np.array([1]),
    }
    shown = masked_lm_inspection.render(features, 0, Toy, color=False)
    assert shown == (
        "label 1 (not next, or swapped), segment B of 2, 7 tokens, 3 predicted\n"
        "[CLS] the [gar] <##den→sea> [SEP] (the) [SEP]"
    )
    assert masked_lm_inspection.render(features, 0, ToyOfBytes, color=False).endswith(
        "[CLS] 北京 [的] <<0xE5><0x8C>→<0x97>> [SEP] (北京) [SEP]"
    )
    colored = masked_lm_inspection.render(features, 0, Toy, color=True)
    assert "\x1b[30;43mgar\x1b[0m" in colored
    packed = {"document_ids": np.array([[1, 1, 1, 1, 1, 2, 2, 0]])}
    assert "[SEP] | (the) [SEP]" in masked_lm_inspection.render(
        features | packed, 0, Toy, color=False
    )


@pytest.mark.parametrize(
    "objective, masking", [("nsp", "token"), ("sop", "whole_word"), ("none", "span")]
)
def test_measured_proportions_are_the_wanted_ones(built, tmp_path, capsys, objective, masking):
    config = program.make(
        inspect_examples.Config,
        examples=str(built.folder),
        sentence_objective=objective,
        masking=masking,
        verify=True,
        output=str(tmp_path / "proportions.json"),
    )
    inspect_examples.main(config)
    printed = capsys.readouterr().out
    assert "measured" in printed and "[CLS]" in printed
    found = {row["name"].strip(): row for row in files.read_json(config.output)}
    for name in ("predicted", "masked", "random", "kept"):
        assert abs(found[name]["measured"] - found[name]["wanted"]) < 0.02
    if masking == "token":
        assert found["words kept whole"]["measured"] < 1
    else:
        assert found["words kept whole"]["measured"] > 0.999  # where none fits, a part is taken
        assert found["can be predicted"]["measured"] == 1
        assert 0 <= found["in words too long"]["measured"] < 0.01
    assert 1 < found["tokens a word"]["measured"] < 2 < found["characters a word"]["measured"] < 6
    assert found["tokens a word"]["unit"] == "tokens" and "tokens a word" in printed
    if objective == "none":
        assert found["padding"]["measured"] < 0.02
    else:
        assert abs(found["label 1"]["measured"] - 0.5) < 0.04


def test_contiguous_text_is_shown_packed_and_never_as_pairs(contiguous, capsys):
    config = program.make(
        inspect_examples.Config,
        examples=str(contiguous.folder),
        sentence_objective="none",
        verify=True,
        debug=True,
    )
    inspect_examples.main(config)
    printed = capsys.readouterr().out
    assert "pieces" in printed and "predicted" in printed and "label 1" not in printed
    with pytest.raises(files.InputError, match="build-examples --layout=pairs"):
        inspect_examples.main(program.replace(config, sentence_objective="nsp"))


def test_verify_names_a_damaged_shard_of_either_split(built, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(built.folder, folder)
    path = folder / built.manifest["splits"]["held_out"]["shards"][0]["name"]
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    config = program.make(inspect_examples.Config, examples=str(folder), verify=True, debug=True)
    with pytest.raises(files.InputError, match=rf"{path.name} at byte offset \d+"):
        inspect_examples.main(config)
