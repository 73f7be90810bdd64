"""Names that Keras needs to load a quantized model."""

from __future__ import annotations

import keras

from tfmot_mltq.keras.int8_lstm import Int8LSTM
from tfmot_mltq.keras.quantize_activation import QuantizeActivation, QuantizeFixedRange
from tfmot_mltq.keras.quantize_annotate import QuantizeAnnotate
from tfmot_mltq.keras.ternarize_activation import TernarizeActivation
from tfmot_mltq.keras.weight_layers import INT8_CLASSES, MULTI_LEVEL_CLASSES, PRUNED_CLASSES


def register() -> None:
    """Makes a plain ``keras.models.load_model`` work for quantized models."""
    for cls in (
        *MULTI_LEVEL_CLASSES.values(),
        *INT8_CLASSES.values(),
        *PRUNED_CLASSES.values(),
        Int8LSTM,
        QuantizeActivation,
        QuantizeFixedRange,
        QuantizeAnnotate,
        TernarizeActivation,
    ):
        keras.saving.register_keras_serializable("tfmot_mltq")(cls)
