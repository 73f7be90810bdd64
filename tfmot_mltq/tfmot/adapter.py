"""What the rest of the package calls for tf_keras models; `keras/adapter.py` is its twin."""

from tfmot_mltq.tfmot.distiller import Distiller
from tfmot_mltq.tfmot.model_graph import GRAPHS
from tfmot_mltq.tfmot.prune import prune
from tfmot_mltq.tfmot.quantize import annotate, quantize
from tfmot_mltq.tfmot.quantized_layers import (
    activation_levels,
    as_inputs,
    bake_weights,
    check_convertible,
    fused_batch_norm,
    inference,
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
