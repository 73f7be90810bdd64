"""Activation ranges from a representative dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tfmot_mltq.helpers import representative_dataset as representative
from tfmot_mltq.helpers.framework_types import Dataset, Model
from tfmot_mltq.helpers.simulation_mode import SimulationMode, simulation_mode
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.quantize import check_quantized

# Tracing a large model takes as long as some ten batches.
_EAGER_BATCHES = 8


def calibrate(model: Model, representative_dataset: Dataset) -> None:
    """Sets all int8 activation ranges of a quantized model to the extremes seen on a dataset.

    The ranges are weights of the model: it then simulates what ``convert`` writes. Training
    afterwards updates them.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned; changed in place.
      representative_dataset: A few hundred typical inputs: a NumPy array of samples, a function
        that yields a list of arrays per step, or an iterable of inputs with a batch dimension.

    Raises:
      UnsupportedModelError: The model is not quantized.
      TypeError, ValueError: The dataset has a wrong form, shape or content.
    """
    adapter = adapter_of(model)
    check_quantized(model, adapter)
    set_ranges(model, adapter, batches(model, adapter, representative_dataset))


def set_ranges(model: Model, adapter: Adapter, samples: Iterable[list[np.ndarray]]) -> None:
    """Sets the ranges of a quantized model to the extremes seen on batches, as ``batches`` gives
    them; all stay as they are where that fails.
    """
    before = model.get_weights()
    try:
        for flag in adapter.range_flags(model):
            flag.assign(np.zeros(flag.shape, np.float32))
        with simulation_mode(SimulationMode.CALIBRATE):
            run = adapter.inference(model, compiled=False)
            for number, batch in enumerate(representative.warn_if_few(samples)):
                if number == _EAGER_BATCHES:
                    run = adapter.inference(model, compiled=True)
                run(batch)
    except BaseException:
        model.set_weights(before)
        raise


def is_calibrated(model: Model, adapter: Adapter) -> bool:
    """Whether every activation range was set, by training or by ``calibrate``."""
    return all((flag.numpy() > 0).all() for flag in adapter.range_flags(model))


def batches(
    model: Model, adapter: Adapter, representative_dataset: Dataset
) -> Iterator[list[np.ndarray]]:
    """The batches of a representative dataset, checked, one array per input of the model.

    Raises:
      TypeError, ValueError: The dataset has a wrong form, shape or content.
    """
    names = adapter.graphs.input_names(model)
    return representative.batches(representative_dataset, representative.input_specs(model, names))
