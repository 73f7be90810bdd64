"""The weights that pruning adds to a tf_keras layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras

from tfmot_mltq.helpers.framework_types import Array, Layer, Tensor, Variable
from tfmot_mltq.mathematics.decomposition import KernelState, as_matrices
from tfmot_mltq.pruning.check_started import check_started
from tfmot_mltq.tfmot.eager_value import eager_value


def add_pruning_variables(layer: Layer, mask_shape: tuple[int, ...]) -> dict[str, Variable]:
    """Adds ``mask``, ``pruned`` and ``pruning_step`` to a layer, and returns them by name."""
    one_value = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return {
        "mask": layer.add_weight(
            name="mask",
            shape=mask_shape,
            initializer="ones",
            trainable=False,
            aggregation=one_value,
        ),
        "pruned": layer.add_weight(
            name="pruned", initializer="zeros", trainable=False, aggregation=one_value
        ),
        "pruning_step": layer.add_weight(
            name="pruning_step",
            initializer=tf_keras.initializers.Constant(-1),
            dtype=tf.int32,
            trainable=False,
            aggregation=one_value,
        ),
    }


def check_counted(training: bool | Tensor, variables: Mapping[str, Variable], name: str) -> None:
    """Refuses to train a pruned layer that nothing prunes, see ``check_started``."""
    if "pruning_step" in variables and training is True:
        check_started(int(eager_value(variables["pruning_step"])) >= 0, name)


def kernel_state(
    variables: Mapping[str, Variable],
    channel_axes: int,
    value: Callable[[Variable], Array] = eager_value,
) -> KernelState:
    """The state of a kernel in matrix form, each variable read by ``value``."""
    held = {
        field.name: value(variables[field.name])
        for field in dataclasses.fields(KernelState)
        if field.name in variables
    }
    if "mask" in held:
        xp = np if isinstance(held["mask"], np.ndarray) else tnp
        held["mask"] = as_matrices(held["mask"], channel_axes, xp)
    return KernelState(**held)


def masked(
    kernel: Tensor, variables: Mapping[str, Variable], value: Callable[[Variable], Array]
) -> Tensor:
    """A kernel where its mask of one level is set."""
    return kernel * value(variables["mask"])[0] if "mask" in variables else kernel
