"""The accelerators that a machine shows without TensorFlow, and why TensorFlow may see none."""

import contextlib
import ctypes.util
import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from roots_tf import notices

_QUERY = "name,driver_version,memory.total,compute_cap"  # neither serial numbers nor processes
EXTRA = "pip install 'roots-tf[cuda]'"
_FEW = 3  # packages that a line names


def shown() -> dict[str, str]:
    """What the system shows, by name; nothing of what is not there.

    `GPU files` and `TPU files` of /dev, `nvidia-smi` (a GPU each, with driver, memory and compute
    capability), `nvidia-smi fails` with its own words, `CUDA` (the newest that the driver knows),
    `CUDA packages` (libraries that came with `roots-tf[cuda]`, cuDNN among them), `libcuda`,
    `hidden` (by the variable CUDA_VISIBLE_DEVICES).
    """
    found = {"GPU files": ", ".join(notices.gpus()), "TPU files": ", ".join(_tpus())}
    found |= _nvidia_smi()
    installed = {name: version for name, version in _packages().items() if version}
    found["CUDA packages"] = ", ".join(map(" ".join, installed.items()))
    with contextlib.suppress(OSError):
        found["libcuda"] = ctypes.util.find_library("cuda") or ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        found["hidden"] = f"CUDA_VISIBLE_DEVICES={visible!r}"
    return {name: value for name, value in found.items() if value}


def _tpus() -> list[str]:
    return sorted(map(str, Path("/dev").glob("accel[0-9]*")))


def _nvidia_smi() -> dict[str, str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    asked = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    try:
        run = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        plain = subprocess.run([program], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia-smi fails": f"{type(error).__name__}, asked for {_QUERY}"}
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    if run.returncode or not lines:
        said = " ".join((run.stdout + run.stderr).split())[:300]
        return {"nvidia-smi fails": said or f"it ends with status {run.returncode}"}
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", plain.stdout)
    return {"nvidia-smi": "; ".join(lines), "CUDA": cuda[1] if cuda else ""}


def _packages() -> dict[str, str]:
    """Version of each package of `tensorflow[and-cuda]`; "" of one that is not installed."""
    found = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for wanted in importlib.metadata.requires("tensorflow") or ():
            name = re.match(r"[\w.-]+", wanted)[0]
            if "and-cuda" in wanted.partition(";")[2]:
                found[name] = ""
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                    found[name] = importlib.metadata.version(name)
    return found


def missing_packages() -> list[str]:
    """Packages of `tensorflow[and-cuda]` that are not installed."""
    return [name for name, version in _packages().items() if not version]


def unseen(system: Mapping[str, str], is_cuda_build: bool) -> tuple[bool, str]:
    """Of a machine on which TensorFlow sees no accelerator: whether that is as it should be, and
    a line that says what was found and what to do.

    >>> unseen({}, True)
    (True, 'the machine shows no accelerator, and TensorFlow sees none')

    Args:
        system: as `shown` gives it.
        is_cuda_build: whether TensorFlow was built for CUDA.
    """
    files, smi = system.get("GPU files", ""), system.get("nvidia-smi", "")
    if "hidden" in system:
        return True, f"found {system['hidden']}, which hides GPUs; all is checked on the processor"
    if "TPU files" in system:
        return False, (
            f"found {system['TPU files']} and no TPU that TensorFlow sees; wanted --strategy=tpu "
            "--tpu=local, and the package tensorflow-tpu in place of tensorflow (docs/tpu.md)"
        )
    if "nvidia-smi fails" in system:
        return False, (
            f"found nvidia-smi failing ({system['nvidia-smi fails']}); wanted a driver that runs: "
            "install NVIDIA's, or start the machine again after its upgrade"
        )
    if not (files or smi):
        if "libcuda" in system:
            return True, (
                "found the driver's library libcuda and no GPU; where the machine has one, give it "
                "to the container (docker run --gpus=all)"
            )
        return True, "the machine shows no accelerator, and TensorFlow sees none"
    if files == "/dev/kfd":
        return False, (
            "found /dev/kfd, a GPU of AMD, and a TensorFlow that was built for CUDA; wanted one "
            "that AMD has built for ROCm"
        )
    return (
        False,
        f"found {smi or files} and no GPU that TensorFlow sees; {_remedy(system, is_cuda_build)}",
    )


def _remedy(system: Mapping[str, str], is_cuda_build: bool) -> str:
    """What to do where there is a GPU of NVIDIA."""
    if not is_cuda_build:
        return f"wanted a TensorFlow that was built for CUDA: {EXTRA} in a fresh environment"
    if "libcuda" not in system:
        return (
            "wanted the driver's library libcuda.so.1: install NVIDIA's driver, or start the "
            "container with docker run --gpus=all"
        )
    if missing := missing_packages():
        some = ", ".join(missing[:_FEW]) + ", ..." * (len(missing) > _FEW)
        return f"wanted the libraries of CUDA, of which {some} are not installed: {EXTRA}"
    other = "LD_LIBRARY_PATH is set, and may name other versions: unset it"
    advice = other if os.environ.get("LD_LIBRARY_PATH") else "TF_CPP_MIN_LOG_LEVEL=0 shows why"
    return f"wanted libraries of CUDA that load ({EXTRA}): {advice}"
