"""The wrapper around every quantized layer."""

from __future__ import annotations

from typing import Any

from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper as tfmot_quantize_wrapper,
)

from tfmot_mltq.tfmot.saved_wrapper import SavedWrapper


class MltqQuantizeWrapper(SavedWrapper, tfmot_quantize_wrapper.QuantizeWrapperV2):
    """TFMOT's QuantizeWrapperV2 that can be saved as .keras."""

    @property
    def float_kernel(self) -> Any:
        """The trained float kernel, whatever the last call put in its place in the layer."""
        return self._weight_vars[0][0]

    @property
    def kernel_variables(self) -> dict[str, Any]:
        """What the quantizer of the kernel holds beside it, by name."""
        return self._weight_vars[0][2]
