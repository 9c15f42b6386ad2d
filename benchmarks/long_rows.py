"""What a window is worth in long rows: all pairs beside blocks, time and memory.

    python -m benchmarks.long_rows --lengths=1024,2048,8192 --output=runs/long_rows.json

Forward and backward of a stack with the parts of `modern`, float32, of 4,096 tokens or one row.
Each is a process of its own, so that its peak of memory is its own; seconds are those of its
processor, the least of a few steps.
"""

import dataclasses
import json
import subprocess
import sys

from roots_tf import program
from roots_tf.storage import files

CHILD = """
import json, resource, sys, time
import tensorflow as tf
from roots_tf import models
from roots_tf.models import attention, preset_fields
length, blocks, layers, width, steps = json.loads(sys.argv[1])
if not blocks:
    attention.blocks_of = lambda *_: None
sizes = {"num_layers": layers, "hidden_dim": width, "num_heads": width // 64,
         "intermediate_dim": 2 * width, "vocabulary_size": 100, "max_sequence_length": length}
encoder = models.Encoder(models.EncoderConfig(**preset_fields("modern") | sizes | {"dropout": 0.0}))
ids = tf.fill([max(1, 4096 // length), length], 7)
features = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids > 0}

@tf.function
def step():
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(encoder(features, seed=tf.constant([1, 2]))))
    return tape.gradient(loss, encoder.trainable_variables)

step()
took = []
for _ in range(steps):
    began = time.process_time()
    step()
    took.append(time.process_time() - began)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": min(took), "megabytes": peak / 1024}))
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    lengths: tuple[str, ...] = program.flag(("1024", "2048", "8192"), help="tokens of a row")
    num_layers: int = program.flag(4, help="layers; the first and every third see all", minimum=1)
    hidden_dim: int = program.flag(256, help="width, a multiple of 64", minimum=64)
    steps: int = program.flag(4, help="timed steps of each", minimum=1)
    output: str = program.flag("", help="JSON file for the figures; none if empty")


def main(config: Config) -> list[dict]:
    """Runs all, prints a table and returns its rows."""
    rows = []
    print(f"{'tokens':>8}{'':>12}{'seconds':>10}{'MB':>10}")
    for length in map(int, config.lengths):
        for blocks in (False, True):
            asked = [length, blocks, config.num_layers, config.hidden_dim, config.steps]
            command = [sys.executable, "-c", CHILD, json.dumps(asked)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:] or ["no message"]
                raise files.InputError(
                    "step-failed",
                    f"found status {done.returncode} of rows of {length} tokens ({last[0]}); "
                    "wanted a step: is there memory for them?",
                )
            found = json.loads(done.stdout.splitlines()[-1])
            name = "blocks" if blocks else "all pairs"
            rows.append({"length": length, "attention": name} | found)
            print(f"{length:>8}{name:>12}{found['seconds']:>10.2f}{found['megabytes']:>10.0f}")
    if config.output:
        files.write_json(config.output, rows)
    return rows


if __name__ == "__main__":
    program.run(main, Config)
