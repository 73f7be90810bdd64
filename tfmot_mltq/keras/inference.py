"""Inference calls outside ``fit`` and ``predict``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfmot_mltq.helpers.framework_types import Model, Tensor
from tfmot_mltq.keras.model_graph import GRAPHS

Run = Callable[[list[Any]], Any]


def inference(model: Model, compiled: bool) -> Callable[[list[np.ndarray]], None]:
    """The model as a function of a list of arrays, run for what it assigns to its weights.

    It has to be called in one simulation mode only, the one of its first call.

    Args:
      model: Quantized model.
      compiled: Whether the backend is to compile it, which pays from some calls on.
    """
    run = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[
        keras.backend.backend()
    ](model, compiled)

    def call(arrays: list[np.ndarray]) -> None:
        run(
            [
                keras.ops.convert_to_tensor(array, dtype=tensor.dtype)
                for array, tensor in zip(arrays, model.inputs, strict=True)
            ]
        )

    return call


def _on_tensorflow(model: Model, compiled: bool) -> Run:
    import tensorflow as tf

    def run(inputs: list[Tensor]) -> None:
        GRAPHS.flat_call(model, inputs)

    return tf.function(run) if compiled else run


def _on_jax(model: Model, compiled: bool) -> Run:
    import jax

    def step(trainable: list[Any], state: list[Any], inputs: list[Tensor]) -> list[Any]:
        packed = GRAPHS.pack(GRAPHS.input_structure(model), inputs)
        return model.stateless_call(trainable, state, packed, training=False)[1]

    call = jax.jit(step) if compiled else step

    def run(inputs: list[Tensor]) -> None:
        trainable = [variable.value for variable in model.trainable_variables]
        state = [variable.value for variable in model.non_trainable_variables]
        for variable, value in zip(
            model.non_trainable_variables, call(trainable, state, inputs), strict=True
        ):
            variable.assign(value)

    return run


def _on_torch(model: Model, compiled: bool) -> Run:
    import torch

    del compiled  # PyTorch runs it eagerly.

    @torch.no_grad()
    def run(inputs: list[Tensor]) -> None:
        GRAPHS.flat_call(model, inputs)

    return run
