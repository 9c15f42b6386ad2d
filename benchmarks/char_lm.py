"""tinyshakespeare by character: held-out loss and time, beside nanoGPT's script.

    python -m benchmarks.char_lm --data=tinyshakespeare/input.txt --nanogpt=nanoGPT/

nanoGPT's settings for a CPU (its README): 4 layers of 128, 4 heads, rows of 64, 12 a batch, 2,000
updates, no dropout, learning rate 0.001 after 100 updates of warm-up, weight decay 0.1; the last
tenth of the text is held out. Ours goes the road of a user, each program a process: `curate`,
`train-tokenizer`, `build-examples`, `pretrain`. `--nanogpt` names a clone of karpathy/nanoGPT;
its `prepare.py` and `train.py` run in a copy, in a Python with torch (`--python`). The time of each
is that of its training process, start and evaluation included, one after the other.

How the losses compare. nanoGPT trains on random windows of 64 characters. Ours cuts records of
4,096 characters into rows of 64, so that nearly every row is such a window, too: <bos> stands in
one of 64 rows, and the end of the text is one prediction of a million. The held-out loss of both is
computed in the same way: windows of 64 characters, one behind the other, each character predicted
once from those before it in its window; no <bos>, no end of text; nats a character. nanoGPT prints
another one as it trains, of 20 random batches. Ours decays its learning rate to 0, nanoGPT's to
0.0001, and has 0.999 where nanoGPT has 0.99 for the mean of squares. Its initial weights deviate by
0.06, as narrow models want, nanoGPT's by 0.02.

Takes some six minutes on two cores; `--updates=50` a minute.
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WINDOW, BATCH = 64, 12
RECORD = 4096  # characters: 64 rows
# Run in the copy of nanoGPT: the loss of its checkpoint on windows that come as an array.
_SCORE = """
import sys
import numpy, torch
from model import GPT, GPTConfig
saved = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
model = GPT(GPTConfig(**saved["model_args"]))
model.load_state_dict(saved["model"])
model.eval()
data = numpy.load(sys.argv[2])
total = count = 0
with torch.no_grad():
    for rows in numpy.array_split(data, max(1, len(data) // 64)):
        rows = torch.from_numpy(rows)
        targets = rows[:, 1:].contiguous()  # -1 is left out
        inputs = rows[:, :-1].clamp(min=0)
        kept = int((targets >= 0).sum())
        total += model(inputs, targets)[1].item() * kept
        count += kept
print("loss", total / count, count)
"""


def windows(ids: np.ndarray) -> np.ndarray:
    """Windows of ids and the id behind each, one after the other: int64 [n, WINDOW + 1].

    Each id but the first of the text is once a target; -1 fills the last row.

    >>> windows(np.arange(130))[:, [0, 1, -1]]
    array([[  0,   1,  64], [ 64,  65, 128], [128, 129,  -1]])
    """
    starts = range(0, max(len(ids) - 1, 1), WINDOW)
    rows = np.full((len(starts), WINDOW + 1), -1, np.int64)
    for row, start in zip(rows, starts, strict=True):
        piece = ids[start : start + WINDOW + 1]
        row[: len(piece)] = piece
    return rows


def run(command: list[str], folder: Path | str = ".") -> tuple[float, str]:
    """Seconds and output of a process; one that fails ends the benchmark with what it said."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
    return seconds, done.stdout


def program(name: str, **flags) -> float:
    """Seconds of one of our programs, called as a user calls it."""
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    seconds, _ = run([sys.executable, "-m", f"pipelines.{name}", *given], os.getcwd())
    print(f"  {name:<16} {seconds:7.1f} s", flush=True)
    return seconds


def ours(text: str, work: Path, updates: int, extra: list[str]) -> tuple[Path, float]:
    """Trains by our programs; the model folder and the seconds of `pretrain`.

    Args:
        text: of training.
        work: scratch folder.
        updates: of the weights.
        extra: more flags of `pretrain`, "name=value" each.
    """
    source = work / "train.jsonl"  # plain text would lose the line ends at its end
    source.write_text(json.dumps({"text": text}) + "\n", "utf-8")
    program("curate", input=source, recipe="verbatim", output=work / "documents")
    program(
        "train_tokenizer",
        **{"input": work / "documents", "output": work / "tokenizer"},
        **{"model": "character", "lowercase": "false"},
    )
    program(
        "build_examples",
        **{"input": work / "documents", "tokenizer": work / "tokenizer"},
        **{"layout": "contiguous", "max_seq_length": RECORD, "held_out": 0},
        output=work / "examples",
    )
    flags = {
        **{"examples": work / "examples", "objective": "causal_lm", "output": work / "run"},
        **{"size": "custom", "num_layers": 4, "hidden_dim": 128, "num_heads": 4},
        **{"intermediate_dim": 512, "dropout": 0, "max_seq_length": WINDOW, "batch_size": BATCH},
        **{"duration": f"{updates} steps", "learning_rate": 1e-3, "schedule": "cosine"},
        **{"warmup_steps": min(100, updates // 2), "weight_decay": 0.1, "precision": "float32"},
        **{"evaluate_every": 0, "checkpoint_every": 0, "initializer_range": 0.06},
    }
    flags |= dict(flag.removeprefix("--").split("=", 1) for flag in extra)
    return work / "run" / "model", program("pretrain", **flags)


def our_loss(folder: Path, held_out: str) -> tuple[float, int]:
    """Nats a character of our model on windows of the held-out text, and the characters."""
    import tensorflow as tf

    from roots_tf import models, tokenizers
    from roots_tf.objectives.causal_lm_task import CausalLMTask

    rows = windows(tokenizers.load(folder).encode([held_out])[0])
    task = CausalLMTask(models.load(folder))
    score = tf.function(lambda batch: task.sums(batch)["causal_lm_loss"])
    total = count = 0.0
    for part in np.array_split(rows, max(1, len(rows) // 64)):
        inputs, targets = part[:, :-1], part[:, 1:]
        place = np.broadcast_to(np.arange(WINDOW), inputs.shape)
        kept = targets >= 0
        batch = {
            "token_ids": np.maximum(inputs, 0),
            "segment_ids": np.zeros_like(inputs),
            "position_ids": place,
            "document_ids": np.ones_like(inputs),
            "next_token_ids": np.maximum(targets, 0),
        }
        batch = {name: tf.constant(value, tf.int32) for name, value in batch.items()}
        batch["padding_mask"] = tf.constant(inputs >= 0)
        batch["next_token_weights"] = tf.constant(kept, tf.float32)
        loss, weight = score(batch)
        total, count = total + float(loss), count + float(weight)
    return total / count, int(count)


def theirs(data: Path, clone: Path, work: Path, updates: int, python: str) -> dict:
    """Trains by nanoGPT's script in a copy of its clone: seconds, and held-out losses."""
    copy = work / "nanogpt"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns(".git"))
    prepared = copy / "data" / "shakespeare_char"
    shutil.copy(data, prepared / "input.txt")
    run([python, "data/shakespeare_char/prepare.py"], copy)
    warmup = min(100, updates // 2)
    flags = [
        *("--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=100"),
        *(f"--block_size={WINDOW}", f"--batch_size={BATCH}", "--n_layer=4", "--n_head=4"),
        *("--n_embd=128", f"--max_iters={updates}", f"--lr_decay_iters={updates}", "--dropout=0.0"),
        *(f"--warmup_iters={warmup}", f"--eval_interval={min(250, updates)}"),
        *("--always_save_checkpoint=True", "--out_dir=out"),
    ]
    seconds, said = run([python, "train.py", "config/train_shakespeare_char.py", *flags], copy)
    print(f"  {'train.py':<16} {seconds:7.1f} s", flush=True)
    with open(prepared / "meta.pkl", "rb") as file:
        numbers = pickle.load(file)["stoi"]
    text = data.read_text("utf-8")
    ids = np.array([numbers[c] for c in text[int(len(text) * 0.9) :]])
    np.save(work / "windows.npy", windows(ids))
    scored = run([python, "-c", _SCORE, "out/ckpt.pt", str(work / "windows.npy")], copy)[1]
    loss, count = scored.rpartition("loss ")[2].split()
    printed = [line.split()[-1] for line in said.splitlines() if "val loss" in line][-1]
    return {"loss": float(loss), "seconds": seconds, "printed": printed, "count": int(count)}


def main() -> None:
    """Runs both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=Path, help="input.txt of tinyshakespeare")
    parser.add_argument("--nanogpt", type=Path, help="clone of karpathy/nanoGPT; none: ours alone")
    parser.add_argument("--python", default=sys.executable, help="one with torch, for nanoGPT")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--flags", nargs="*", default=[], help="of pretrain, such as preset=modern")
    args = parser.parse_args()
    text = args.data.read_text("utf-8")
    cut = int(len(text) * 0.9)  # as data/shakespeare_char/prepare.py has it
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        folder, seconds = ours(text[:cut], work, args.updates, args.flags)
        loss, count = our_loss(folder, text[cut:])
        print(f"{args.updates} updates; held out: {count:,} characters, each once\n")
        print(f"{'':<10} {'nats a character':>16} {'seconds':>9}")
        print(f"{'ROOTS-TF':<10} {loss:>16.4f} {seconds:>9.1f}", flush=True)
        if args.nanogpt:
            found = theirs(args.data, args.nanogpt, work, args.updates, args.python)
            assert found["count"] == count, "the held-out texts differ"
            print(f"{'nanoGPT':<10} {found['loss']:>16.4f} {found['seconds']:>9.1f}")
            print(
                f"ratio of times {seconds / found['seconds']:.2f}; nanoGPT printed a loss of ",
                end="",
            )
            print(f"{found['printed']}, of 20 random batches")


if __name__ == "__main__":
    main()
