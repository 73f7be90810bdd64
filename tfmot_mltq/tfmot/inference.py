"""Inference calls outside ``fit`` and ``predict``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tfmot_mltq.helpers.framework_types import Model, Tensor
from tfmot_mltq.layout.graph import ModelGraphs


def as_inputs(model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
    """Arrays as tensors of the types that a model takes."""
    return [
        tf.cast(tf.constant(array), tensor.dtype)
        for array, tensor in zip(arrays, model.inputs, strict=True)
    ]


def inference(
    model: Model, compiled: bool, graphs: ModelGraphs
) -> Callable[[list[np.ndarray]], None]:
    """The model as a function of a list of arrays, in the simulation mode of the caller."""

    def run(*inputs: Tensor) -> None:
        graphs.flat_call(model, inputs)

    if compiled:
        run = tf.function(run)
    return lambda arrays: run(*as_inputs(model, arrays))
