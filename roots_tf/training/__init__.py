"""How anything is trained: a run of stages, its step, loop, checkpoints and summaries."""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Machine": "run",
        "PLAN": "plan_file",
        "Phase": "phases",
        "Phases": "plan_file",
        "Report": "plan_file",
        "Run": "run",
        "Settings": "run",
        "Stage": "loop",
        "Work": "reporting",
        "assign_saved": "saved_weights",
        "check_reach": "durations",
        "check_trackers": "trackers",
        "chiefs": "strategies",
        "claim_of": "phases",
        "decay_of": "phases",
        "keep_freed_memory": "memory",
        "make_evaluate": "loop",
        "plan_of": "phases",
        "read_metrics": "metrics_file",
        "read_plan": "plan_file",
        "steps_of": "durations",
        "whole_phases": "phases",
    },
)
