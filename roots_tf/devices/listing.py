"""What TensorFlow sees of a machine, and how it was built."""

import os

import tensorflow as tf

from roots_tf.devices import system
from roots_tf.devices.place import Place
from roots_tf.devices.results import Finding
from roots_tf.planning import measuring
from roots_tf.planning.accelerators import recognised


def run(place: Place) -> Finding:
    """Lists devices; fails where the machine shows an accelerator that TensorFlow does not see.

    Args:
        place: where the checks run.
    """
    build = tf.sysconfig.get_build_info()
    facts = {
        "accelerator": place.accelerator,
        "devices": _devices() or "none",
        "build": _build(build),
        "XLA devices": ", ".join(d.name for d in tf.config.list_physical_devices("XLA_GPU")),
    }
    numbers = {}
    if place.accelerator == "GPU":
        details = tf.config.experimental.get_device_details(
            tf.config.list_physical_devices("GPU")[0]
        )
        facts["known as"] = recognised(details.get("device_name", ""))
        numbers["memory_bytes"] = measuring.accelerator_memory()
    if place.accelerator == "TPU":
        facts["known as"] = recognised(f"tpu {os.environ.get('TPU_ACCELERATOR_TYPE', '')}")
    facts = {name: value for name, value in facts.items() if value}
    if place.accelerator:
        return Finding(True, f"TensorFlow sees {facts['devices']}", numbers, facts)
    passed, said = system.unseen(system.shown(), bool(build.get("is_cuda_build")))
    return Finding(passed, said, numbers, facts)


def _devices() -> str:
    """Accelerators as TensorFlow names them."""
    found = []
    for kind in ("GPU", "TPU"):
        for device in tf.config.list_physical_devices(kind):
            details = tf.config.experimental.get_device_details(device) if kind == "GPU" else {}
            capability = ".".join(map(str, details.get("compute_capability", ())))
            parts = (
                device.name.removeprefix("/physical_device:"),
                details.get("device_name", ""),
                f"compute capability {capability}" if capability else "",
            )
            found.append(" ".join(filter(None, parts)))
    return ", ".join(found)


def _build(build) -> str:
    """How TensorFlow was built, in words."""
    if not build.get("is_cuda_build"):
        return "built for ROCm" if build.get("is_rocm_build") else "built without CUDA"
    capabilities = " ".join(build.get("cuda_compute_capabilities", ()))
    cuda, cudnn = (build.get(f"{name}_version", "?") for name in ("cuda", "cudnn"))
    return f"built for CUDA {cuda}, cuDNN {cudnn}, {capabilities}"
