"""How anything is trained: a run of stages, its step, loop, checkpoints and summaries."""

from roots_tf import lazy

_MODULES = ("durations", "loop", "memory", "run", "settings", "strategies", "summaries")
__getattr__ = lazy.attributes(__name__, {name: name for name in _MODULES})
