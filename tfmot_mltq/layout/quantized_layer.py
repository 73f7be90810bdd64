"""What tells a quantized model from others."""

from tfmot_mltq.helpers.framework_types import LayerBase


class QuantizedLayer(LayerBase):
    """Mixin of the layers that only a quantized model has."""
