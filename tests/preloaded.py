"""What the server of `tests.processes` has imported before it starts the first program."""

import gc
import importlib

from roots_tf import notices

gc.disable()
notices.hide()
for name in ("training.run", "objectives.masked_lm_task", "tasks.finetuning", "serving.model"):
    importlib.import_module(f"roots_tf.{name}")
gc.freeze()  # so that the pages of these stay shared
gc.enable()
