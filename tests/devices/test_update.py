"""The update of several replicas beside the processor's, in the way that GPUs are compared."""

import pytest

from roots_tf.devices import update
from roots_tf.devices.place import LeftOut, Place
from roots_tf.training import strategies


@pytest.mark.slow
def test_two_replicas_make_the_processors_update(tmp_path):
    mirrored = strategies.make_strategy("mirrored", 2)
    one = Place(strategies.make_strategy("one_device"), "", tmp_path, debug=True)
    with pytest.raises(LeftOut, match="which were not made"):
        update.run(one, "float32", compiled=False)
    update.reference(one)
    found = update.run(one._replace(strategy=mirrored), "float32", compiled=False)
    assert found.passed, found.said
    with pytest.raises(LeftOut, match="two GPUs; found 0"):
        update.on_all(one)
