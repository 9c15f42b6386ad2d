"""How anything is trained: a run of stages, its step, loop, checkpoints and summaries."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Machine": "run",
        "PLAN": "run",
        "Run": "run",
        "Settings": "run",
        "Stage": "loop",
        "Work": "reporting",
        "chiefs": "strategies",
        "keep_freed_memory": "memory",
        "make_evaluate": "loop",
        "read_checked": "checksums",
        "read_metrics": "metrics_file",
        "read_plan": "run",
        "steps_of": "durations",
        "write_checked": "checksums",
    },
)
