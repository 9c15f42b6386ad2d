"""TFRecords of google-research/bert are named, with the way to go, and nothing else is."""

import pytest
import tensorflow as tf

from roots_tf.examples import manifest
from roots_tf.storage.files import InputError


def write(path, *names):
    values = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2, 3]))
    example = tf.train.Example(features=tf.train.Features(feature=dict.fromkeys(names, values)))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    return path


def test_records_of_google_are_named(tmp_path):
    names = ["input_ids", "input_mask", "segment_ids", "masked_lm_positions", "masked_lm_ids"]
    file = write(tmp_path / "tf_examples.tfrecord", *names)
    for given in (tmp_path, file):
        with pytest.raises(InputError, match="hold their masks already.*roots build-examples"):
            manifest.load(given)


def test_other_folders_are_not(tmp_path):
    write(tmp_path / "a.tfrecord", "input_ids", "label")
    for given in (tmp_path, tmp_path / "a.tfrecord", tmp_path / "nothing"):
        with pytest.raises(InputError, match="found no .*manifest.json"):
            manifest.load(given)
