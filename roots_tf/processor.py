"""What the processor can do, as Linux tells it; without TensorFlow."""

import os
from pathlib import Path

# With any of these TensorFlow's products are oneDNN's where nobody says otherwise, and its arrays
# come from a pool of its own (`DefaultOneDnnPolicy` in tensorflow/core/util/util.cc of 2.21).
_ONEDNN_FEATURES = frozenset(
    ("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
)


def features(path: str | Path = "/proc/cpuinfo") -> frozenset[str]:
    """Names of what it can, such as "avx2"; nothing where there is no such file as `path`."""
    if not Path(path).exists():
        return frozenset()
    lines = Path(path).read_text("utf-8", "replace").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def has_onednn() -> bool:
    """Whether TensorFlow takes oneDNN's products here, unless a GPU does them."""
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    if asked in ("0", "false", "1", "true"):
        return asked in ("1", "true")
    return bool(_ONEDNN_FEATURES & features())
