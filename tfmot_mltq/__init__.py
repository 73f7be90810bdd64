"""Multi-level ternary quantization and pruning for Keras, down to the microcontroller.

import tfmot_mltq as mltq

q = mltq.quantize_model(model, levels=2)
q.compile(...); q.fit(...)
mltq.summary(q)
tflite = mltq.convert(q, representative_dataset=samples)
mltq.Interpreter(tflite, runtime="tflm").predict(x)
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

# Where each public name lives; imported on first use, as not all users have every dependency.
_PUBLIC = {
    "quantize_model": "tfmot_mltq.tfmot.quantize",
    "quantize_annotate_layer": "tfmot_mltq.tfmot.quantize",
    "quantize_apply": "tfmot_mltq.tfmot.quantize",
    "ternary_weights": "tfmot_mltq.tfmot.quantize",
    "strip": "tfmot_mltq.tfmot.quantize",
    "quantize_scope": "tfmot_mltq.tfmot.custom_objects",
    "MultiLevelQuantizeScheme": "tfmot_mltq.tfmot.quantize_scheme",
    "calibrate": "tfmot_mltq.tfmot.calibration",
    "summary": "tfmot_mltq.report.summary",
    "convert": "tfmot_mltq.converter.convert",
    "Interpreter": "tfmot_mltq.runtime.interpreter",
    "Decomposition": "tfmot_mltq.decomposition",
    "UnsupportedModelError": "tfmot_mltq.errors",
    "ConversionError": "tfmot_mltq.errors",
    "RuntimeUnavailableError": "tfmot_mltq.errors",
}

__all__ = list(_PUBLIC)


def _register_keras_objects() -> None:
    """Lets a plain ``load_model`` know the classes of quantized models."""
    if all(map(importlib.util.find_spec, ("tf_keras", "tensorflow_model_optimization"))):
        importlib.import_module("tfmot_mltq.tfmot.custom_objects").register()


_register_keras_objects()


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfmot_mltq' has no attribute '{name}'")
    try:
        module = importlib.import_module(_PUBLIC[name])
    except ModuleNotFoundError as error:
        if error.name in ("tensorflow", "tf_keras", "tensorflow_model_optimization"):
            raise ImportError(
                f"tfmot_mltq.{name} needs TensorFlow, tf-keras and TensorFlow Model Optimization "
                f"('{error.name}' is missing): pip install 'tfmot-mltq[tensorflow]'"
            ) from error
        raise
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
