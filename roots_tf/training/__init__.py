"""How anything is trained: a run of stages, its step, loop, checkpoints and summaries."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Machine": "run",
        "PLAN": "run",
        "Phases": "plan_file",
        "Report": "plan_file",
        "Run": "run",
        "Settings": "run",
        "Stage": "loop",
        "Work": "reporting",
        "chiefs": "strategies",
        "keep_freed_memory": "memory",
        "make_evaluate": "loop",
        "read_metrics": "metrics_file",
        "steps_of": "durations",
    },
)
