"""What the multi-level layers of a model would cost on a microcontroller, without running them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tfmot_mltq.cost_model import predict
from tfmot_mltq.cost_model.choose_encodings import choose_encodings
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.kernels import Call
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.packing import packed_layer
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.layer_calls import layer_calls


def predict_layers(
    model: Model,
    adapter: Adapter,
    layers: dict[str, MultiLevelLayer],
    optimize: str,
    target: str,
) -> dict[str, Figures]:
    """By layer name: ``flash_bytes``, predicted ``instructions`` and ``int8_instructions`` for one
    sample, and ``scratch_bytes``. The calls of a shared layer add up.

    Instructions and scratch are None where a layer is too large for the optimised kernels.

    Args:
      model: Quantized model.
      adapter: Of its framework.
      layers: Its multi-level layers by name.
      optimize: As in ``convert``.
      target: As in ``convert``.
    """
    found = {}
    for name, calls in layer_calls(model, adapter, layers).items():
        planes, spec = layers[name].rows(), layers[name].spec
        cut = [
            dataclasses.replace(
                call,
                activation_levels=spec.activations.levels,
                binary_activations=spec.kind == "binary",
            )
            for call in calls
        ]
        found[name] = _add_up([_predict_call(call, planes, optimize, target) for call in cut])
    return found


def add_predictions(predictions: list[Figures]) -> Figures:
    """Totals of layers: sums, and the largest scratch."""
    return _add_up(predictions) | {
        "flash_bytes": sum(prediction["flash_bytes"] for prediction in predictions)
    }


def _predict_call(call: Call, planes: np.ndarray, optimize: str, target: str) -> Figures:
    encodings = choose_encodings(call, planes, optimize, target)
    counts = count_planes(planes, encodings)
    instructions = predict.instructions(call, counts, target)
    return {
        "flash_bytes": packed_layer.packed_bytes(
            planes, encodings, int(call.activation_levels > 0)
        ),
        "instructions": None if instructions is None else round(instructions),
        "int8_instructions": round(predict.int8_instructions(call, target)),
        "scratch_bytes": None
        if instructions is None
        else predict.scratch_bytes(call, counts, target),
    }


def _add_up(parts: list[Figures]) -> Figures:
    def combine(name: str, how: Callable[[list[int]], int]) -> int | None:
        values = [part[name] for part in parts]
        return None if None in values else how(values)

    return {
        "flash_bytes": max((part["flash_bytes"] for part in parts), default=0),
        "instructions": combine("instructions", sum),
        "int8_instructions": combine("int8_instructions", sum),
        "scratch_bytes": combine("scratch_bytes", lambda values: max(values, default=0)),
    }
