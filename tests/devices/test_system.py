"""What is said of a machine whose accelerator TensorFlow does not see."""

import stat

import pytest

from roots_tf.devices import system
from roots_tf.planning.accelerators import recognised

CARD = {"GPU files": "/dev/nvidia0", "nvidia-smi": "NVIDIA H200, 570.1, 143771 MiB, 9.0"}


@pytest.mark.parametrize(
    ("shown", "is_cuda_build", "passed", "said"),
    [
        ({}, True, True, "shows no accelerator"),
        ({"libcuda": "libcuda.so.1"}, True, True, "docker run --gpus=all"),
        (CARD | {"libcuda": "libcuda.so.1"}, True, False, "pip install 'roots-tf[cuda]'"),
        (CARD, True, False, "wanted the driver's library libcuda.so.1"),
        (CARD | {"libcuda": "libcuda.so.1"}, False, False, "was built for CUDA: pip install"),
        (CARD | {"hidden": "CUDA_VISIBLE_DEVICES='-1'"}, True, True, "hides GPUs"),
        ({"nvidia-smi fails": "no devices were found"}, True, False, "wanted a driver that runs"),
        ({"TPU files": "/dev/accel0"}, True, False, "--strategy=tpu --tpu=local"),
        ({"GPU files": "/dev/kfd"}, True, False, "ROCm"),
    ],
)
def test_what_to_do(shown, is_cuda_build, passed, said):
    found = system.unseen(shown, is_cuda_build)
    assert found[0] is passed
    assert said in found[1]
    assert passed or ("found " in found[1] and "; wanted " in found[1])


def test_packages_of_cuda_that_are_not_installed_are_named(monkeypatch):
    wanted = [
        "numpy>=1",
        "nvidia-absent-cu12>=12; extra == 'and-cuda'",
        "numpy; extra == 'and-cuda'",
    ]
    monkeypatch.setattr(system.importlib.metadata, "requires", lambda _: wanted)
    assert system.missing_packages() == ["nvidia-absent-cu12"]
    assert system.shown()["CUDA packages"].startswith("numpy ")
    found = system.unseen(CARD | {"libcuda": "libcuda.so.1"}, True)[1]
    assert "of which nvidia-absent-cu12 are not installed" in found


# A program in place of the driver's, which no machine without a GPU has.
SMI = """#!/bin/sh
case "$*" in
*--query-gpu=name,driver_version,memory.total,*) echo "Tesla T4, 535.54, 15360 MiB, 7.5";;
*) echo "| NVIDIA-SMI 535.54   Driver Version: 535.54   CUDA Version: 12.2 |";;
esac
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMI, {"nvidia-smi": "Tesla T4, 535.54, 15360 MiB, 7.5", "CUDA": "12.2"}),
        (
            "#!/bin/sh\necho 'Failed to initialize NVML: Driver mismatch'\nexit 18\n",
            {"nvidia-smi fails": "Failed to initialize NVML: Driver mismatch"},
        ),
        ("#!/bin/sh\nexit 9\n", {"nvidia-smi fails": "it ends with status 9"}),
    ],
)
def test_what_the_driver_says(text, expected, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = system.shown()
    assert expected.items() <= found.items()
    assert "hidden" not in found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert system.shown()["hidden"] == "CUDA_VISIBLE_DEVICES=''"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA H200", "h200"), ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA H100 PCIe", ""),
        ("NVIDIA A100-SXM4-80GB", "a100_80gb"), ("NVIDIA A100-PCIE-40GB", "a100_40gb"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", ""), ("Tesla T4", "t4"), ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", ""), ("NVIDIA A10G", "a10g"), ("Tesla V100-SXM2-16GB", "v100"),
        ("tpu v4-8", "tpu_v4"), ("tpu v5litepod-8", "tpu_v5e"), ("tpu v5p-8", "tpu_v5p"),
        ("tpu v6e-4", "tpu_v6e"), ("", ""), ("AMD Radeon v100x", ""),
    ],
)  # fmt: skip
def test_devices_of_the_planners_table_by_what_their_drivers_call_them(name, known):
    assert recognised(name) == known
