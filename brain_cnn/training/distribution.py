"""Training on several devices: what Keras 3 offers for the backend at hand, and no more.

On JAX, `keras.distribution.DataParallel` gives each device a share of every batch and a copy
of the weights, and the gradients are those of the whole batch, so a run gives the same curve
as on one device. Several hosts are not supported: each process here draws whole batches.

On TensorFlow the same call is accepted by Keras and does nothing. It is refused here, so that
nobody waits for a second card that idles.
"""

from __future__ import annotations

import keras

from brain_cnn.errors import SettingsError


def distribute_training() -> int:
    """Share every batch among all devices of the backend; return how many there are.

    To be called before a network is built.

    Raises:
        SettingsError: the backend does not do it, or there is one device alone.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        raise SettingsError(
            "no-distribution",
            f"--distribute does nothing on the {backend} backend of Keras: it would train on "
            "one device alone.",
            "Use JAX: KERAS_BACKEND=jax python scripts/train.py --distribute ...",
        )
    devices = keras.distribution.list_devices()
    if len(devices) < 2:
        raise SettingsError(
            "one-device",
            f"JAX sees one device here ({devices[0]}): there is nothing to share.",
            "Leave --distribute out. For a rehearsal on two logical devices of the processor set "
            "XLA_FLAGS=--xla_force_host_platform_device_count=2.",
        )
    # A data set in memory is cut by Keras: no tf.data is to be sharded.
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    )
    return len(devices)


def check_shares(batch: int, epoch_images: int, devices: int) -> None:
    """Refuse batches that cannot be cut into equal shares.

    Raises:
        SettingsError: with a number of images that can.
    """
    for name, size in (("batch", batch), ("the last batch of an epoch", epoch_images % batch)):
        if size % devices:
            raise SettingsError(
                "uneven-batch",
                f"{name} has {size} images, which {devices} devices cannot share evenly.",
                f"Set batch and epoch_images to multiples of {devices}.",
            )


def devices_in_use() -> int:
    """Return among how many devices each batch is shared; 1 without `distribute_training`."""
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.device_mesh.devices.size)
