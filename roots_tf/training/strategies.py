"""Where the step runs: one device or copies of the model on several."""

import contextlib

import tensorflow as tf

from roots_tf.files import InputError


def make_strategy(name: str, num_devices: int = 0) -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of that name.

    Args:
        name: "one_device", "mirrored" (all GPUs of this machine, or logical CPU devices), or
            "auto": mirrored where there are several GPUs, else one device.
        num_devices: devices to use; 0 means all. Without GPUs, more than one makes logical CPU
            devices, which shows that a run is right on several devices and makes it no faster.

    Raises:
        InputError: there are fewer devices than asked for.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        name = "mirrored" if max(len(gpus), num_devices) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/GPU:0" if gpus else "/CPU:0")
    if not gpus and num_devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        # Refused once TensorFlow has started; the devices it started with are counted below.
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices
            )
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    count = num_devices or len(devices)
    if count > len(devices):
        raise InputError(
            f"found {len(devices)} devices; wanted --num_devices={count}: use fewer, or 0 for all"
        )
    # Collectives between logical CPU devices buy nothing, and allow one group size a process.
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    names = [device.name for device in devices[:count]]
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)
