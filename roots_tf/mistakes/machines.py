"""Mistakes and mishaps of machines: packages, memory, devices, clusters, servers, signals."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "missing-extra": Mistake(
        "An optional package is not installed",
        "Heavy or rare packages do not come along: `serving`, `curation`, `chinese`, `cluster` "
        "and others are extras, and the flag or the step needs one.",
        "Install the extra that the line names into the environment that runs `roots`: `pip "
        "install 'roots-tf[serving]'`, in quotes.",
    ),
    "no-memory": Mistake(
        "There is not enough memory",
        "The batch, the model or the file is larger than what is free; other programs may hold "
        "the rest.",
        "Lower `--batch_size` and raise `--accumulate_steps` by as much, which trains the same; "
        "use fewer `--num_workers`; divide a large file. `free -g` shows what is free.",
    ),
    "stopped": Mistake(
        "The program was asked to stop",
        "A signal came: Ctrl-C, the end of a job's time, a terminal that was closed, or `kill`.",
        "Run the same command again: training goes on from the checkpoint that it has saved, and "
        "other programs keep the tasks that were finished. `nohup` or `tmux` keep a program alive "
        "when the terminal closes.",
    ),
    "worker-lost": Mistake(
        "A worker process or machine is gone",
        "Another process that shares the work has ended: often the system ended it because memory "
        "ran out, or its machine was taken back.",
        "Start the same command again, on every machine if there are several: what is finished is "
        "kept. `roots launch` does so by itself, until nothing more is saved. Use fewer "
        "`--num_workers` where memory ran out; `dmesg` tells of that.",
    ),
    "no-such-device": Mistake(
        "There are not the devices that were asked for",
        "`--num_devices` is higher than the number of GPUs, a TPU of that name is not there, or a "
        "strategy for one device was given several.",
        "`nvidia-smi` lists GPUs. `--num_devices=0` takes all that there are, and "
        "`--strategy=auto` chooses by what is there.",
    ),
    "device-differs": Mistake(
        "A device has not passed a check",
        "It computes something else than the processor does, beyond rounding, or a check of it "
        "crashed, ran out of memory or took too long; or the machine has an accelerator that "
        "TensorFlow does not see.",
        "The table above the line says of each check what was found, what was wanted and, where "
        "that is known, what to do; `--only=CHECK` makes one alone. Attach the JSON file to a "
        "report of a bug: no names stand in it.",
    ),
    "wrong-batch": Mistake(
        "The batch does not divide among devices and micro-batches",
        "Each device takes an equal part of a batch, in `--accumulate_steps` equal portions; some "
        "losses compare all rows of a batch and cannot be divided.",
        "Take a `--batch_size` that is a multiple of devices times `--accumulate_steps`, and give "
        "examples for one batch at least.",
    ),
    "cluster-unreachable": Mistake(
        "The other machines cannot be reached",
        "The scheduler or a worker does not answer: it is not started, its address is another, a "
        "firewall is between, or `TF_CONFIG` is not the same everywhere.",
        "Start scheduler and workers first and use the address that they print. Of `TF_CONFIG`, "
        "only `task.index` differs between machines.",
    ),
    "workers-differ": Mistake(
        "The machines of a cluster do not have the same",
        "Another version of a package, no view of the output folder, or an output folder each: "
        "the result would depend on who computed it.",
        "Install the same versions on all, and give an `--output` on storage that all of them see "
        "at the same path.",
    ),
    "step-failed": Mistake(
        "A program that this one has started has ended with an error",
        "`launch` and benchmarks run other programs, and one of them refused its command or "
        "diverged. What went wrong stands above, in that program's own words.",
        "Look at the lines above for the first that ends in an id of its own.",
    ),
    "cannot-listen": Mistake(
        "The server cannot take connections",
        "The port is taken by another process, is one that only the superuser may use, the host "
        "is not this machine's, or the limit of open files leaves no room.",
        "Choose another `--port`, 1024 or higher; `ss -ltnp` shows who listens. `ulimit -n 4096` "
        "raises the limit of files.",
    ),
    "untrusted-graph": Mistake(
        "A model to serve holds operations that reach beyond computing",
        "A SavedModel is a program: it may read files, write them or reach other machines. This "
        "one has such an operation, which no export of ours has.",
        "Serve only what you trust: export the model yourself, or give `--trust` where you know "
        "who made it.",
    ),
    "wrong-request": Mistake(
        "A request to the server is not one that it understands",
        "Its JSON, a name, a type or a shape is not what the model takes, or no model of that "
        "name is served.",
        "`GET /v1/models/NAME/metadata` shows the inputs of each signature; `docs/serve.md` has a "
        "request for each task.",
    ),
    "request-too-large": Mistake(
        "A request takes more than the server allows",
        "It has more rows, bytes or texts than a request may have, or its answer would.",
        "Send fewer rows at once, or start the server with higher limits: `--max_body_bytes`, "
        "`--max_answer_bytes`, `--max_queue`.",
    ),
    "server-busy": Mistake(
        "The server has no room for the request just now",
        "Other requests hold the queue or the memory that it may use, or it is still warming up.",
        "Send it again after the seconds that `Retry-After` names; serve on more processes if it "
        "happens often.",
    ),
    "server-failed": Mistake(
        "The model failed to answer a request",
        "Something went wrong that no check of the request has seen: the device ran out of "
        "memory, or there is a bug.",
        "The log of the server has the reason at that time. Other requests are answered as "
        "before; please report what is no lack of memory, with the request.",
    ),
}
