"""Names that tf_keras needs to load a quantized model."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow_model_optimization as tfmot
import tf_keras

from tfmot_mltq.tfmot import (
    int8_lstm,
    pruning_wrapper,
    quantize_activation,
    quantize_configs,
    quantize_wrapper,
    quantizers,
    ternarize_activation,
)


def _own_objects() -> dict[str, type]:
    classes = (
        quantize_configs.OutputQuantizeConfig,
        quantize_configs.Int8QuantizeConfig,
        quantize_configs.Int8Conv1DTransposeQuantizeConfig,
        quantize_configs.Int8Conv2DTransposeQuantizeConfig,
        quantize_configs.Int8DenseQuantizeConfig,
        quantize_configs.Int8EinsumDenseQuantizeConfig,
        quantize_configs.Int8DepthwiseConv1DQuantizeConfig,
        quantize_configs.Int8DepthwiseConv2DQuantizeConfig,
        quantize_configs.MultiLevelConv2DQuantizeConfig,
        quantize_configs.MultiLevelConv1DQuantizeConfig,
        quantize_configs.MultiLevelDenseQuantizeConfig,
        quantize_configs.MultiLevelDepthwiseConv1DQuantizeConfig,
        quantize_configs.MultiLevelDepthwiseConv2DQuantizeConfig,
        quantize_configs.SeparableConv1DQuantizeConfig,
        quantize_configs.SeparableConv2DQuantizeConfig,
        int8_lstm.Int8LSTM,
        pruning_wrapper.PruneLowMagnitude,
        quantize_activation.QuantizeActivation,
        quantize_activation.QuantizeFixedRange,
        ternarize_activation.TernarizeActivation,
        quantize_wrapper.MltqQuantizeWrapper,
        quantizers.MultiLevelQuantizer,
        quantizers.Int8WeightQuantizer,
        quantizers.ActivationRangeQuantizer,
    )
    return {cls.__name__: cls for cls in classes}


def quantize_scope(*custom_objects: Mapping[str, object]) -> tf_keras.utils.CustomObjectScope:
    """Context in which tf_keras knows the objects of this package and of TFMOT.

    ``import tfmot_mltq`` registers them for the whole process, so this is only needed to add
    ``custom_objects`` (dicts of name to class) of your own, as with TFMOT's function.
    """
    return tfmot.quantization.keras.quantize_scope(*custom_objects, _own_objects())


def register() -> None:
    """Makes a plain ``tf_keras.models.load_model`` work for quantized models."""
    for objects in quantize_scope().custom_objects:
        tf_keras.utils.get_custom_objects().update(objects)
