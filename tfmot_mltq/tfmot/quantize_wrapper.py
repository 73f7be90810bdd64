"""The wrapper around every quantized layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper as tfmot_quantize_wrapper,
)

from tfmot_mltq.helpers.dilated_convolution import dilated_convolution, is_dilated
from tfmot_mltq.helpers.framework_types import Tensor, Variable
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.int8_sums import Int8Sum, StoredOutput
from tfmot_mltq.layout.quantized_layer import QuantizedLayer
from tfmot_mltq.mathematics import decomposition, int8_simulation
from tfmot_mltq.tfmot.int8_sums import is_symbolic, sum_notes
from tfmot_mltq.tfmot.pruning_variables import masked
from tfmot_mltq.tfmot.quantizers import ActivationRangeQuantizer, Int8WeightQuantizer
from tfmot_mltq.tfmot.saved_wrapper import SavedWrapper


class MltqQuantizeWrapper(
    SavedWrapper, QuantizedLayer, StoredOutput, tfmot_quantize_wrapper.QuantizeWrapperV2
):
    """TFMOT's QuantizeWrapperV2 that can be saved as .keras, and rounds sums as TFLite does.

    Attributes:
      known_sum: Gives what the layer adds up, where the tensor that is stored is that sum.
    """

    known_sum: Callable[[], Int8Sum | None] = staticmethod(lambda: None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sums = sum_notes()

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Keras' call; of symbolic tensors it notes what the output is a sum of."""
        outputs = super().__call__(inputs, *args, **kwargs)
        if self.stores_output:
            tensors = tf.nest.flatten(inputs)
            if all(map(is_symbolic, tensors)):
                self._sums.note_call(self, tensors)
        return outputs

    def call(self, inputs: Tensor, training: bool | Tensor | None = None, **kwargs: Any) -> Tensor:
        """The layer with quantized weights, its output quantized as far as it is stored."""
        if current_mode() is SimulationMode.CONVERT and is_dilated(self.layer):
            return self._convert_dilated(inputs, training, **kwargs)
        if training is None:
            training = tf_keras.backend.learning_phase()
        # Not in training, where the replicas of a strategy call the layer in threads of their own.
        is_inference = not (tf.is_tensor(training) or training)
        simulates = is_inference and current_mode() is SimulationMode.SIMULATE
        found = self.known_sum() if simulates else None
        bias = None if found is None else self.named_weights().get("bias")
        if found is None or bias is None:
            return super().call(inputs, training=training, **kwargs)
        value = tf.convert_to_tensor(bias)
        rounded = int8_simulation.int32_bias(tf.stop_gradient(value), found.step(), tnp)
        # Past Keras, which would take the variable for gone.
        self.layer.__dict__["bias"] = decomposition.straight_through(
            value, rounded, tf.stop_gradient
        )
        try:
            return super().call(inputs, training=training, **kwargs)
        finally:
            self.layer.__dict__["bias"] = bias

    def _convert_dilated(
        self, inputs: Tensor, training: bool | Tensor | None, **kwargs: Any
    ) -> Tensor:
        layer = self.layer

        def call(x: Tensor) -> Tensor:
            is_depthwise = hasattr(layer, "depthwise_kernel")
            kernel = layer.depthwise_kernel if is_depthwise else layer.kernel
            outputs = dilated_convolution(x, kernel, layer, is_depthwise)
            outputs = tf.nn.bias_add(outputs, layer.bias) if layer.use_bias else outputs
            return outputs if layer.activation is None else layer.activation(outputs)

        layer.__dict__["call"] = call
        try:
            return super().call(inputs, training=training, **kwargs)
        finally:
            del layer.__dict__["call"]

    def _make_quantizer_fn(
        self,
        quantizer: Any,
        x: Tensor,
        training: bool | Tensor | None,
        quantizer_vars: dict[str, Variable],
    ) -> Callable[[], Tensor]:
        """TFMOT's hook."""
        if not isinstance(quantizer, ActivationRangeQuantizer):
            return super()._make_quantizer_fn(quantizer, x, training, quantizer_vars)
        found = self._sums.at(0)
        step = None if found is None else found.step()
        return lambda: quantizer(x, training, weights=quantizer_vars, sum_step=step)

    @property
    def stores_output(self) -> bool:
        """Whether the output is quantized here."""
        return bool(self._output_quantizers)

    def step(self) -> Tensor:
        """Real value of a step of the output, where it is stored."""
        return self._output_quantizers[0].step(self._output_quantizer_vars)

    def output_limits(self) -> tuple[float, float] | None:
        """Smallest and largest value of the output, as far as its range is set."""
        if not self.stores_output:
            return None
        return self._output_quantizers[0].limits(self._output_quantizer_vars)

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the range of the output is set."""
        return self._output_quantizer_vars["initialized_var"] if self.stores_output else None

    @property
    def has_int8_kernel(self) -> bool:
        """Whether the layer has int8 weights, not levels."""
        return bool(self._weight_vars) and isinstance(self._weight_vars[0][1], Int8WeightQuantizer)

    def kernel_steps(self) -> Tensor:
        """Steps of an int8 kernel: a scalar, or one for each output channel."""
        kernel = tf.stop_gradient(tf.convert_to_tensor(self.float_kernel))
        kernel = masked(kernel, self.kernel_variables, tf.convert_to_tensor)
        axes = self._weight_vars[0][1].channel_axes
        steps = int8_simulation.kernel_steps(kernel, axes, tnp)
        return tf.reshape(steps, (-1,) if axes else ())

    @property
    def float_kernel(self) -> Variable:
        """The trained float kernel, whatever the last call put in its place in the layer."""
        return self._weight_vars[0][0]

    @property
    def kernel_variables(self) -> dict[str, Variable]:
        """What the quantizer of the kernel holds beside it, by name."""
        return self._weight_vars[0][2]
