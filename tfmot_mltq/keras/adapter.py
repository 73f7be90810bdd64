"""What the rest of the package calls for Keras 3 models; `tfmot/adapter.py` is its twin."""

from tfmot_mltq.keras.distiller import Distiller
from tfmot_mltq.keras.inference import inference
from tfmot_mltq.keras.model_graph import GRAPHS
from tfmot_mltq.keras.prune import prune
from tfmot_mltq.keras.quantize import annotate, quantize
from tfmot_mltq.keras.quantized_layers import (
    activation_levels,
    as_inputs,
    bake_weights,
    check_convertible,
    fused_batch_norm,
    inner_layer,
    is_annotated,
    is_pruned,
    is_quantized,
    multi_level_layer,
    output_quantization,
    plain_layer,
    pruned_layers,
    range_flags,
    to_numpy,
)

__all__ = [
    "GRAPHS",
    "Distiller",
    "activation_levels",
    "annotate",
    "as_inputs",
    "bake_weights",
    "check_convertible",
    "fused_batch_norm",
    "inference",
    "inner_layer",
    "is_annotated",
    "is_pruned",
    "is_quantized",
    "multi_level_layer",
    "output_quantization",
    "plain_layer",
    "prune",
    "pruned_layers",
    "quantize",
    "range_flags",
    "to_numpy",
]
