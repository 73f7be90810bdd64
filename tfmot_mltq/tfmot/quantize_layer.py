"""Layers that only change activations: int8 behind inputs, and behind functions that cannot be
wrapped; levels in front of layers with multi-level weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras
from tensorflow_model_optimization.python.core.keras import utils as tfmot_utils

from tfmot_mltq.helpers.saved_config import unversioned, versioned
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.int8_sums import SumNotes
from tfmot_mltq.mathematics import activation_levels as mathematics
from tfmot_mltq.mathematics.activation_levels import ActivationLevels
from tfmot_mltq.tfmot.int8_sums import note_sum_of
from tfmot_mltq.tfmot.quantizers import ActivationRangeQuantizer


class QuantizeActivation(tf_keras.layers.Layer):
    """Int8 fake quantization of a tensor, or of the tensors of a group that share one range.

    In the place of TFMOT's QuantizeLayer, which cannot be loaded from a .keras file: its build adds
    its weights anew each time. ``keras.quantize_activation`` is its twin.

    Args:
      sites: Places of the graph at which the layer is called.
      limits: What the range does not exceed, smallest and largest value; None for no limits.
    """

    def __init__(
        self, sites: int = 1, limits: Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sites = sites
        self.range_limits = None if limits is None else tuple(map(float, limits))
        self._sums = SumNotes()

    def __call__(self, inputs: Any, *args: Any, site: int = 0, **kwargs: Any) -> Any:
        """Keras' call; of symbolic tensors it notes what they are sums of."""
        note_sum_of(self._sums, site, inputs)
        return super().__call__(inputs, *args, site=site, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Adds the range, once."""
        self._quantizer = ActivationRangeQuantizer(sites=self.sites, limits=self.range_limits)
        self._range = self._quantizer.build(input_shape, "output", self)
        super().build(input_shape)

    def call(
        self, inputs: Any, site: int = 0, ties_away: bool = False, training: Any = None
    ) -> Any:
        """Quantizes a tensor at one place of the group; same shape and dtype out.

        ``ties_away`` rounds halves to the int8 value further from 0, and not up.
        """
        if training is None:
            training = tf_keras.backend.learning_phase()
        found = self._sums.at(site)
        step = None if found is None else found.step()
        # The phase may be a tensor.
        return tfmot_utils.smart_cond(
            training,
            lambda: self._quantizer(inputs, True, self._range, site, ties_away),
            lambda: self._quantizer(inputs, False, self._range, site, ties_away, step),
        )

    def step(self) -> Any:
        """Real value of a step."""
        return self._quantizer.step(self._range)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        config = super().get_config()
        if self.sites > 1:
            config["sites"] = self.sites
        if self.range_limits is not None:
            config["limits"] = list(self.range_limits)
        return config


class QuantizeFixedRange(tf_keras.layers.Layer):
    """Int8 fake quantization of the output of an operator whose range TFLite fixes.

    Args:
      limits: Smallest and largest value of the range.
    """

    def __init__(self, limits: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limits = tuple(limits)

    def call(self, inputs: Any) -> Any:
        """Quantizes a tensor; same shape and dtype out."""
        return self._quantized(inputs)

    def step(self) -> Any:
        """Real value of a step."""
        low, high = self.limits
        return tf.constant((high - low) / 255.0, tf.float32)

    @tf.autograph.experimental.do_not_convert
    def _quantized(self, inputs: Any) -> Any:
        if current_mode() is not SimulationMode.SIMULATE:
            return tf.identity(inputs)  # TFLite's operator does it.
        return tf.quantization.fake_quant_with_min_max_args(inputs, *self.limits)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "limits": list(self.limits)}


class TernarizeActivation(tf_keras.layers.Layer):
    """Multi-level ternary (or binary) activations; ``keras.ternarize_activation`` is its twin.

    Args:
      levels: Levels K.
      kind: "ternary" or "binary".
      sparsity_penalty: Weight of the share of entries that are not zero, in the loss.
    """

    def __init__(
        self,
        levels: int,
        kind: str = "ternary",
        sparsity_penalty: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.levels = levels
        self.kind = kind
        self.sparsity_penalty = sparsity_penalty

    def build(self, input_shape: Any) -> None:
        """Adds the scales and thresholds."""
        start = mathematics.starting_weights(self.levels, self.kind)
        for name, (shape, value, trainable) in start.items():
            weight = self.add_weight(
                name=f"levels_{name}",
                shape=shape,
                initializer=tf_keras.initializers.Constant(value),
                trainable=trainable,
                aggregation=tf.VariableAggregation.MEAN
                if trainable
                else tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            setattr(self, name, weight)
        super().build(input_shape)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Cuts a tensor into levels; same shape and dtype out."""
        if training is None:
            training = tf_keras.backend.learning_phase()
        # The phase may be a tensor.
        return tfmot_utils.smart_cond(
            training, lambda: self._cut(inputs, True), lambda: self._cut(inputs, False)
        )

    @tf.autograph.experimental.do_not_convert
    def _cut(self, inputs: Any, training: bool) -> Any:
        mode = current_mode()
        if mode is SimulationMode.CONVERT:
            return tf.identity(inputs)  # The operator does it.
        base, initialized = tf.convert_to_tensor(self.base), tf.convert_to_tensor(self.initialized)
        if training or mode is SimulationMode.CALIBRATE:
            start = mathematics.starting_scales(
                tf.stop_gradient(inputs), self.levels, self.kind, tnp
            )
            base = tf.where(initialized > 0, base, start)
            self.base.assign(base)
            self.initialized.assign(1.0)
        if mode is SimulationMode.CALIBRATE:
            return tf.identity(inputs)
        scales = mathematics.trained_scales(
            base, tf.convert_to_tensor(self.factors), tnp, tf.stop_gradient
        )
        thresholds = tf.convert_to_tensor(self.thresholds)
        if training and self.sparsity_penalty:
            share = mathematics.nonzero_share(inputs, scales, thresholds, tnp, tf.stop_gradient)
            self.add_loss(self.sparsity_penalty * share)
        result = mathematics.trained_value(
            inputs, scales, thresholds, self.kind, tnp, tf.stop_gradient
        )
        return result if training else tf.where(initialized > 0, result, inputs)

    def activation_levels(self) -> ActivationLevels:
        """The trained levels."""
        base, factors, thresholds = (
            weight.numpy() for weight in (self.base, self.factors, self.thresholds)
        )
        return mathematics.fixed_levels(base, factors, thresholds, self.kind)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return versioned(
            {
                **super().get_config(),
                "levels": self.levels,
                "kind": self.kind,
                "sparsity_penalty": self.sparsity_penalty,
            }
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TernarizeActivation:
        """A layer from its Keras configuration.

        Raises:
          ValueError: A newer version of this package saved it.
        """
        return super().from_config(unversioned(config, cls.__name__))
