"""The wrapper that prunes a float layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.sparsity.keras import (
    pruning_wrapper as tfmot_pruning_wrapper,
)

from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor, Variable
from tfmot_mltq.helpers.saved_config import unversioned, versioned
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.pruning.pruning_spec import PruningSpec, as_pruning_spec
from tfmot_mltq.tfmot.eager_value import eager_value
from tfmot_mltq.tfmot.pruning_variables import (
    add_pruning_variables,
    check_counted,
    masked,
)
from tfmot_mltq.tfmot.quantize_registry import MULTI_LEVEL_CONFIGS
from tfmot_mltq.tfmot.saved_wrapper import SavedWrapper


class PruneLowMagnitude(SavedWrapper, tfmot_pruning_wrapper.PruneLowMagnitude):
    """TFMOT's PruneLowMagnitude with our masks: exact, kept in the forward pass and in the
    gradient, updated by our ``UpdatePruningStep``, and saved.

    Args:
      layer: Float layer with a kernel.
      pruning: ``PruningSpec`` or its configuration.
    """

    def __init__(self, layer: Layer, pruning: PruningSpec | Config, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.pruning = as_pruning_spec(pruning)
        self.pruning_variables: dict[str, Variable] = {}

    def build(self, input_shape: Shape) -> None:
        """Adds the mask and the step. TFMOT's own build would add its own."""
        tf_keras.layers.Wrapper.build(self, input_shape)
        self.pruning_variables = add_pruning_variables(self, (1, *self.float_kernel.shape))

    def call(self, inputs: Tensor, training: bool | Tensor | None = None, **kwargs: Any) -> Tensor:
        """What the layer gives with its kernel pruned."""
        if training is None:
            training = tf_keras.backend.learning_phase()
        check_counted(training, self.pruning_variables, self.layer.name)
        with self._kernel_replaced(self._kernel_of_call()):
            return self.layer.call(inputs, **kwargs)

    def _kernel_of_call(self) -> Tensor:
        if current_mode() is SimulationMode.CONVERT:
            return tf.constant(self.baked())
        return masked(self.float_kernel, self.pruning_variables, tf.convert_to_tensor)

    def baked(self) -> np.ndarray:
        """The pruned kernel in NumPy."""
        return masked(eager_value(self.float_kernel), self.pruning_variables, eager_value)

    @property
    def float_kernel(self) -> Variable:
        """The trained variable."""
        return getattr(self.layer, self._kernel_name)

    @property
    def _kernel_name(self) -> str:
        return MULTI_LEVEL_CONFIGS[kind_of(self.layer)].weight_attr

    @contextlib.contextmanager
    def _kernel_replaced(self, kernel: Tensor) -> Iterator[None]:
        # Not by setattr: Keras would take the variable for a weight that is gone.
        variable = self.float_kernel
        self.layer.__dict__[self._kernel_name] = kernel
        try:
            yield
        finally:
            self.layer.__dict__[self._kernel_name] = variable

    def get_config(self) -> Config:
        """Keras configuration."""
        config = tf_keras.layers.Wrapper.get_config(self)
        return versioned({**config, "pruning": self.pruning.get_config()})

    @classmethod
    def from_config(cls, config: Config) -> PruneLowMagnitude:
        """A wrapper from its Keras configuration.

        Raises:
          ValueError: A newer version of this package saved it.
        """
        config = unversioned(config, cls.__name__)
        layer = tf_keras.layers.deserialize(config.pop("layer"))
        config.pop("name")  # follows from that of the layer
        return cls(layer, **config)

    # TFMOT's wrapper counts only the weights of the layer.
    get_weights = tf_keras.layers.Wrapper.get_weights
    set_weights = tf_keras.layers.Wrapper.set_weights
