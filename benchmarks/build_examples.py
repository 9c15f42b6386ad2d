"""Speed of text -> records, beside google's create_pretraining_data and Hugging Face's map.

    python -m benchmarks.build_examples --documents=runs/documents --tokenizer=runs/tokenizer \
        --hugging_face=/path/to/python --tf_models=/path/to/python

All run on the same text, vocabulary and length, start-up of their processes included, and write
record files. A peer is run where its flag names a Python that has it: `datasets` and `transformers`
for the first, `tf-models-official` (with its own TensorFlow) for the second, which gets
`--tf_models_megabytes` of the text only: it does 0.16 MB/s and holds everything in memory.
`RSS` is the largest process, `CPU` is processor seconds a megabyte, and tells more than `MB/s` on a
machine that does other things besides. Prints a table.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import sentencex

from roots_tf import program
from roots_tf.storage import files

HUGGING_FACE = """
import itertools, sys
import datasets, transformers
documents, tokenizer, output, length, processes = sys.argv[1:]
length = int(length)
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=tokenizer)
data = datasets.load_dataset(
    "parquet", data_files=documents, split="train", cache_dir=output + "/cache")

def tokenize(batch):
    return {"input_ids": tokenizer(batch["text"], add_special_tokens=False)["input_ids"]}

def group(batch):
    ids = list(itertools.chain.from_iterable(batch["input_ids"]))
    stop = len(ids) // length * length
    return {"input_ids": [ids[i : i + length] for i in range(0, stop, length)]}

kept = dict(batched=True, num_proc=int(processes), remove_columns=data.column_names)
data = data.map(tokenize, **kept)
data.map(group, batched=True, num_proc=int(processes)).save_to_disk(output + "/grouped")
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    documents: str = program.flag(help="folder of Parquet documents")
    tokenizer: str = program.flag(help="WordPiece tokenizer folder, lower-cased")
    max_seq_length: int = program.flag(128, help="tokens of a row")
    num_workers: int = program.flag(2, help="processes, of ours and of Hugging Face's")
    hugging_face: str = program.flag("", help="Python with datasets and transformers")
    tf_models: str = program.flag("", help="Python with tf-models-official")
    tf_models_megabytes: float = program.flag(5.0, help="text given to tf-models-official")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> None:
    """Runs ours and the peers named."""
    paths = files.expand([config.documents])
    megabytes = (
        sum(
            len(text.encode())
            for path in paths
            for rows in pq.ParquetFile(path).iter_batches(columns=["text"])
            for text in rows.column(0).to_pylist()
        )
        / 1e6
    )
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        ours = [sys.executable, "-m", "pipelines.build_examples", f"--output={scratch}/ours"]
        ours += [f"--input={config.documents}", f"--tokenizer={config.tokenizer}"]
        ours += [f"--max_seq_length={config.max_seq_length}"]
        found.append(
            measure(
                "roots build-examples", [*ours, f"--num_workers={config.num_workers}"], megabytes
            )
        )
        if config.hugging_face:
            script = Path(scratch, "peer.py")
            script.write_text(HUGGING_FACE)
            command = [config.hugging_face, script, str(Path(paths[0]).parent / "*.parquet")]
            command += [Path(config.tokenizer, "tokenizer.json"), scratch]
            command += [config.max_seq_length, config.num_workers]
            found.append(measure("datasets.map, tokenise and group", command, megabytes))
        if config.tf_models:
            text, size = sentences_file(paths, Path(scratch, "text.txt"), config)
            command = [config.tf_models, "-m", "official.nlp.data.create_pretraining_data"]
            command += [f"--input_file={text}", f"--output_file={scratch}/peer.tfrecord"]
            command += [f"--vocab_file={config.tokenizer}/vocab.txt", "--dupe_factor=1"]
            command += [f"--max_seq_length={config.max_seq_length}"]
            found.append(measure("tf-models create_pretraining_data", command, size))
    print(f"\n{'':<36}{'MB':>7}{'seconds':>9}{'MB/s':>8}{'CPU s/MB':>10}{'RSS MB':>8}")
    for row in found:
        print(
            f"{row['name']:<36}{row['megabytes']:>7.1f}{row['seconds']:>9.1f}"
            f"{row['megabytes'] / row['seconds']:>8.2f}"
            f"{row['cpu_seconds'] / row['megabytes']:>10.2f}{row['peak_megabytes']:>8.0f}"
        )
    if config.output:
        Path(config.output).write_text(json.dumps(found, indent=2) + "\n")


def sentences_file(paths, output: Path, config: Config) -> tuple[Path, float]:
    """The peer's input: a sentence a line, documents parted by blank lines; and its megabytes."""
    size = 0
    with output.open("w") as file:
        for path in paths:
            for text in pq.read_table(path)["text"].to_pylist():
                if size > config.tf_models_megabytes * 1e6:
                    return output, size / 1e6
                for line in text.split("\n"):
                    file.writelines(s.strip() + "\n" for s in sentencex.segment("en", line))
                file.write("\n")
                size += len(text.encode())
    return output, size / 1e6


def measure(name: str, command: list, megabytes: float) -> dict:
    """Runs a command and tells its wall and processor time, and the size of its largest process."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, command)], stdout=subprocess.PIPE, env=os.environ
    )
    printed, _ = process.communicate()
    seconds = time.monotonic() - began
    status, cpu_seconds, peak = json.loads(printed.splitlines()[-1])
    if status:
        raise files.InputError(
            "step-failed", f"{name} ended with status {status}; its output is above"
        )
    return {
        "name": name,
        "megabytes": megabytes,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_megabytes": peak,
    }


# A process of its own for every command, since a process cannot reset what its children used.
RUN = """
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""

if __name__ == "__main__":
    program.run(main, Config)
