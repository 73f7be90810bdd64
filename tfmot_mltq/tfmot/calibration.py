"""Activation ranges from a representative dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfmot_mltq import representative_dataset as representative
from tfmot_mltq.tfmot.quantize import check_quantized
from tfmot_mltq.tfmot.quantize_layer import QuantizeActivation
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper
from tfmot_mltq.tfmot.simulation_mode import SimulationMode, simulation_mode


def calibrate(model: Any, representative_dataset: Any) -> None:
    """Sets all int8 activation ranges of a quantized model to the extremes seen on a dataset.

    The ranges are weights of the model: it then simulates what ``convert`` writes. Training
    afterwards moves them on.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned; changed in place.
      representative_dataset: Some hundred typical inputs: a NumPy array of samples, a function that
        yields a list of arrays per step, or an iterable of inputs with a batch dimension.

    Raises:
      UnsupportedModelError: The model is not quantized.
      TypeError, ValueError: The dataset has a wrong form, shape or content.
    """
    check_quantized(model)
    before = model.get_weights()
    try:
        for flag in _initialized_flags(model):
            flag.assign(0.0)
        with simulation_mode(SimulationMode.CALIBRATE):
            run = tf.function(lambda *inputs: model(_pack(model, inputs), training=False))
            for batch in _batches(model, representative_dataset):
                run(
                    *[
                        tf.cast(tf.constant(array), tensor.dtype)
                        for array, tensor in zip(batch, model.inputs, strict=True)
                    ]
                )
    except BaseException:
        model.set_weights(before)
        raise


def check_first_batch(model: Any, representative_dataset: Any) -> None:
    """Refuses a dataset that ``calibrate`` would refuse at its first batch.

    Raises:
      TypeError, ValueError: The dataset has a wrong form, shape or content.
    """
    next(_batches(model, representative_dataset))


def is_calibrated(model: Any) -> bool:
    """Whether every activation range was set, by training or by ``calibrate``."""
    return all(float(flag) > 0 for flag in _initialized_flags(model))


def _batches(model: Any, representative_dataset: Any) -> Iterator[list[np.ndarray]]:
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    return representative.batches(representative_dataset, model.input_names, shapes)


def _pack(model: Any, inputs: Any) -> Any:
    return tf.nest.pack_sequence_as(model.input, list(inputs))


def _initialized_flags(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, (MltqQuantizeWrapper, QuantizeActivation)):
            for weight in layer.non_trainable_weights:
                if weight.name.partition(":")[0].endswith("_initialized"):
                    yield weight
