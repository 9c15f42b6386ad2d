"""What a run will take, before it is started: memory, work, time, energy, money. No TensorFlow.

    accelerators     devices by name, from accelerators.toml
    footprint        bytes of a training step, part by part
    forecast         work and text of a run, and its time, energy and money on a device
    proposal         size, batch, micro-batches, duration and learning rate within a budget
    random_batches   batches to measure with
    measuring        steps and products on this machine; the one file that loads TensorFlow
    report           a forecast as a table and as JSON, and the `pretrain` command that goes with it

A forecast is a guess from sizes. It is no plan: `plan.json` of a run (`training.plan_file`) holds
what the flags of that run were settled to.
"""
