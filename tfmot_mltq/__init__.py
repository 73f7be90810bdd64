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

import wrapt

from tfmot_mltq.helpers import moved_modules
from tfmot_mltq.layout.frameworks import FRAMEWORKS, import_with_extra

# Where each public name lives; imported on first use, as not all users have every dependency.
_PUBLIC = {
    "quantize_model": "tfmot_mltq.quantize",
    "quantize_annotate_layer": "tfmot_mltq.quantize",
    "quantize_apply": "tfmot_mltq.quantize",
    "prune_low_magnitude": "tfmot_mltq.pruning.prune",
    "UpdatePruningStep": "tfmot_mltq.pruning.update_pruning_step",
    "PolynomialDecay": "tfmot_mltq.pruning.schedule",
    "ConstantSparsity": "tfmot_mltq.pruning.schedule",
    "distill": "tfmot_mltq.distillation",
    "sparsify": "tfmot_mltq.search.sparsify",
    "ternary_weights": "tfmot_mltq.quantize",
    "strip": "tfmot_mltq.quantize",
    "quantize_scope": "tfmot_mltq.tfmot.custom_objects",
    "MultiLevelQuantizeScheme": "tfmot_mltq.tfmot.quantize_scheme",
    "calibrate": "tfmot_mltq.calibration",
    "summary": "tfmot_mltq.report.summary",
    "compare": "tfmot_mltq.report.compare",
    "potential_speedup": "tfmot_mltq.report.potential_speedup",
    "write_report": "tfmot_mltq.report.write_report",
    "convert": "tfmot_mltq.converter.convert",
    "debug": "tfmot_mltq.verification.debug",
    "Interpreter": "tfmot_mltq.runtime.interpreter",
    "MultiLevelConfig": "tfmot_mltq.config",
    "ActivationConfig": "tfmot_mltq.config",
    "Decomposition": "tfmot_mltq.config",
    "UnsupportedModelError": "tfmot_mltq.errors",
    "ConversionError": "tfmot_mltq.errors",
    "RuntimeUnavailableError": "tfmot_mltq.errors",
}

__all__ = list(_PUBLIC)


# Plain ``load_model`` knows the classes of quantized models, as soon as its framework is there;
# neither is imported for those who do not use it.
def _register_for_keras(_: object) -> None:
    importlib.import_module("tfmot_mltq.keras.custom_objects").register()


def _register_for_tfmot(_: object) -> None:
    importlib.import_module("tfmot_mltq.tfmot.custom_objects").register()


def _import_tfmot(_: object) -> None:
    # It may be what imports tf_keras; our classes have to wait until it is complete.
    if importlib.util.find_spec("tensorflow_model_optimization"):
        importlib.import_module("tensorflow_model_optimization")


moved_modules.register()
wrapt.register_post_import_hook(_register_for_keras, "keras")
wrapt.register_post_import_hook(_register_for_tfmot, "tensorflow_model_optimization")
wrapt.register_post_import_hook(_import_tfmot, "tf_keras")


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfmot_mltq' has no attribute '{name}'")
    if _PUBLIC[name].startswith("tfmot_mltq.tfmot."):
        _, packages, extra = FRAMEWORKS["tf_keras"]
        # Before our modules, as its import registers them.
        import_with_extra("tensorflow_model_optimization", packages, extra, f"tfmot_mltq.{name}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
