"""`roots version`: what a report of a bug should say of a machine, without loading TensorFlow."""

import importlib.metadata
import os
import platform
from pathlib import Path

import roots_tf
from roots_tf import memory, notices

_PACKAGES = (
    *("tensorflow", "tensorflow-text", "keras", "keras-hub", "tokenizers", "numpy", "pyarrow"),
    *("scikit-learn", "safetensors", "tensorboard"),
)
# Beside features that every processor has; bfloat16 and int8 units decide how fast a step is.
_FEATURES = (
    *("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "sve", "sve2", "bf16", "i8mm"),
)
_VARIABLES = (
    *("KERAS_BACKEND", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS"),
    *("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_XLA_FLAGS"),
    *("XLA_FLAGS", "PYTHONPATH"),
)
_OF_OTHERS = ("TF_CONFIG",)  # which names machines: whether it is set, not what it says


def text() -> str:
    """A line a thing: versions, the machine, variables that are set."""
    return "".join(f"{name:<24} {value}\n" for name, value in facts().items())


def facts() -> dict[str, str]:
    """Versions, the machine, variables that are set, by name."""
    lines = {
        "roots-tf": roots_tf.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        **{name: _version(name) for name in _PACKAGES},
        "processor": _processor(),
        "memory": f"{_memory() / 2**30:.1f} GiB, {memory.available() / 2**30:.1f} left",
        "GPUs": ", ".join(_gpus()) or "none",
    }
    lines |= {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return lines | {name: "set" for name in _OF_OTHERS if name in os.environ}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """Its name, the processors of this process, and what it can beside the usual."""
    about = dict(
        (name.strip(), value.strip())
        for name, _, value in (line.partition(":") for line in _lines("/proc/cpuinfo"))
    )
    known = (about.get("flags") or about.get("Features") or "").split()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = about.get("model name") or platform.processor() or platform.machine()
    features = " ".join(feature for feature in _FEATURES if feature in known)
    return f"{name}, {usable} of {os.cpu_count()} cores{f', {features}' if features else ''}"


def _memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> list[str]:
    """Names of the GPUs as their driver has them, with its version; or their files."""
    folders = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    names = [
        line.partition(":")[2].strip()
        for path in folders
        for line in _lines(path)
        if line.startswith("Model:")
    ]
    driver = [line.partition(":")[2].strip() for line in _lines("/proc/driver/nvidia/version")]
    return [*(names or notices.gpus()), *(f"driver {line}" for line in driver[:1] if names)]


def _lines(path: str | Path) -> list[str]:
    """Lines of a file of the system, none where there is none."""
    try:
        return Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
