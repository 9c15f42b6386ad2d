"""What `test_multi_worker` starts twice: `FOLDER DEVICES` are its arguments."""

import sys

import numpy as np

from roots_tf.training import strategies
from tests.training import test_step

strategy = strategies.make_strategy("multi_worker", num_devices=int(sys.argv[2]))
index, workers = strategies.worker(strategy)
assert strategies.total(strategy, index + 1) == 3
agree = strategies.make_agree(strategy)
assert agree(0) == 0
assert agree(2 if index else 0) == (2 if index else 15)
state, sums = test_step.train(strategy, accumulate_steps=2, worker=(index, workers))
np.savez(sys.argv[1] + f"/{index}.npz", *state, clipped=[s["clipped"][0] for s in sums])
