"""Inference calls outside ``fit`` and ``predict``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np

from tfmot_mltq.helpers.framework_types import Model, Tensor
from tfmot_mltq.layout.graph import ModelGraphs

Run = Callable[[list[Tensor]], None]


def as_inputs(model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
    """Arrays as tensors of the types that a model takes."""
    return [
        keras.ops.convert_to_tensor(array, dtype=tensor.dtype)
        for array, tensor in zip(arrays, model.inputs, strict=True)
    ]


def inference(
    model: Model, compiled: bool, graphs: ModelGraphs
) -> Callable[[list[np.ndarray]], None]:
    """The model as a function of a list of arrays, run for what it assigns to its weights.

    It has to be called in one simulation mode only, the one of its first call.

    Args:
      model: Quantized model.
      compiled: Whether the backend is to compile it, which pays from some calls on.
      graphs: Of Keras 3.
    """
    run = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[
        keras.backend.backend()
    ](model, compiled, graphs)
    return lambda arrays: run(as_inputs(model, arrays))


def _on_tensorflow(model: Model, compiled: bool, graphs: ModelGraphs) -> Run:
    import tensorflow as tf

    def run(inputs: list[Tensor]) -> None:
        graphs.flat_call(model, inputs)

    return tf.function(run) if compiled else run


def _on_jax(model: Model, compiled: bool, graphs: ModelGraphs) -> Run:
    import jax

    def step(trainable: list[Tensor], state: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
        packed = graphs.pack(graphs.input_structure(model), inputs)
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


def _on_torch(model: Model, compiled: bool, graphs: ModelGraphs) -> Run:
    import torch

    del compiled  # PyTorch runs it eagerly.

    @torch.no_grad()
    def run(inputs: list[Tensor]) -> None:
        graphs.flat_call(model, inputs)

    return run
