"""Keras layers whose kernel is quantized, pruned or both when they are called.

They are the plain layers with another ``call``: arguments, weights and their order, ``kernel`` (the
trained float32 variable) and all else stay Keras'. What quantization and pruning add comes behind.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfmot_mltq.config import MultiLevelConfig, as_config
from tfmot_mltq.helpers.framework_types import (
    Array,
    ArrayNamespace,
    Config,
    Initializer,
    Layer,
    LayerBase,
    Shape,
    Tensor,
    Variable,
    WeightStore,
)
from tfmot_mltq.helpers.saved_config import unversioned
from tfmot_mltq.helpers.saved_layer import SavedLayer
from tfmot_mltq.helpers.saved_weights import load_named_weights
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.keras.array_namespace import array_namespace
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.int8_lstm import Int8LSTM
from tfmot_mltq.layout.clone_layer import copy_weights
from tfmot_mltq.layout.int8_sums import Int8Sum
from tfmot_mltq.layout.layer_kinds import INT8_CHANNEL_AXES, KERNEL_LAYERS
from tfmot_mltq.layout.quantized_layer import QuantizedLayer
from tfmot_mltq.mathematics import decomposition, int8_simulation
from tfmot_mltq.mathematics.decomposition import KernelState
from tfmot_mltq.pruning.check_started import check_started
from tfmot_mltq.pruning.pruning_spec import PruningSpec, as_pruning_spec

_STATE_NAMES = tuple(field.name for field in dataclasses.fields(KernelState))
_OWN_NAMES = (*_STATE_NAMES, "pruning_step")


class SimulatedKernel(SavedLayer):
    """Mixin: a float32 kernel that is changed in the forward pass. Stands before the plain layer
    class, which is the last base.

    Args:
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not at
        all. A pruned layer has the non-trainable float32 weights ``mask`` (1 where a bit may be
        non-zero, shape (levels, *kernel shape)) and ``pruned`` (1 as soon as the mask alone says
        which bits are non-zero), and ``pruning_step`` (int32, batches done; -1 before training).
    """

    plain_class: type[Layer]

    def __init__(
        self, *args: Any, pruning: PruningSpec | Config | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.pruning = None if pruning is None else as_pruning_spec(pruning)
        self.pruning_started = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.plain_class = cls.__bases__[-1]

    @property
    def mask_levels(self) -> int:
        """Planes of the mask."""
        return 1

    def plain(self) -> Layer:
        """The unbuilt layer that this one was made of."""
        config = unversioned(super().get_config(), self.name)
        return self.plain_class.from_config(config)

    def add_weight(self, *args: Any, **kwargs: Any) -> Variable:
        """Keras' hook; keeps the kernel out of mixed precision's casts, as planes and scales are
        found in float32.
        """
        if kwargs.get("name") == "kernel":
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Adds the weights of the plain layer and those of pruning."""
        super().build(input_shape)
        if self.pruning is None:
            return
        self.mask = self._add_state("mask", (self.mask_levels, *self.kernel.shape), "ones")
        self.pruned = self._add_state("pruned", (), "zeros")
        self.pruning_step = self._add_state(
            "pruning_step", (), keras.initializers.Constant(-1), dtype="int32"
        )

    def _add_state(
        self, name: str, shape: tuple[int, ...], initializer: Initializer, **kwargs: Any
    ) -> Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            autocast=False,
            **{"dtype": "float32", "trainable": False, **kwargs},
        )

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Keras' hook."""
        super().set_weights(weights)
        self.refresh_pruning_started()

    def save_own_variables(self, store: WeightStore) -> None:
        """Keras' saving hook: the plain layer's weights by number, as it does, ours by name."""
        if not self._own_variables():
            super().save_own_variables(store)
            return
        for name, weight in self._saved_weights().items():
            store[name] = weight.numpy()

    def load_own_variables(self, store: WeightStore) -> None:
        """Keras' loading hook."""
        if not self._own_variables():
            super().load_own_variables(store)
            return
        load_named_weights(self.name, self._saved_weights(), store)
        self.refresh_pruning_started()

    def _saved_weights(self) -> dict[str, Variable]:
        """All weights by their names in a file; the plain layer's hooks know only its own."""
        plain = (self.kernel, *([self.bias] if self.use_bias else []))
        numbered = {str(index): weight for index, weight in enumerate(plain)}
        return {**numbered, **self._own_variables()}

    def _own_variables(self) -> dict[str, Variable]:
        return {name: getattr(self, name) for name in _OWN_NAMES if hasattr(self, name)}

    def refresh_pruning_started(self) -> None:
        """To be called when the weights were set from outside of training."""
        if self.pruning is not None:
            self.pruning_started = int(self.pruning_step.numpy()) >= 0

    @property
    def channel_axes(self) -> int:
        """How many trailing axes of the kernel make up the output channels."""
        return KERNEL_LAYERS[self.plain_class.__name__].channel_axes

    def state(self, value: Callable[[Variable], Array]) -> KernelState:
        """The state of the kernel in matrix form, each variable read by ``value``."""
        held = {name: value(getattr(self, name)) for name in _STATE_NAMES if hasattr(self, name)}
        if "mask" in held:
            xp = np if isinstance(held["mask"], np.ndarray) else array_namespace()
            held["mask"] = decomposition.as_matrices(held["mask"], self.channel_axes, xp)
        return KernelState(**held)

    def simulated(self, kernel: Tensor) -> Tensor:
        """The changed kernel, with gradients, on the backend."""
        raise NotImplementedError

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The changed kernel in NumPy: the same on every backend."""
        raise NotImplementedError

    def call_kernel(self, training: bool | None) -> Tensor:
        """The kernel for a call, in the layer's compute dtype."""
        if current_mode() is SimulationMode.CONVERT:
            return ops.convert_to_tensor(self.constant_kernel(eager_value(self.kernel)))
        if training and self.pruning is not None:
            self._check_started()
        return ops.cast(self.simulated(ops.cast(self.kernel, "float32")), self.compute_dtype)

    def call_bias(self, training: bool | None) -> Tensor:
        """The bias for a call."""
        return self.bias

    def _check_started(self) -> None:
        try:
            check_started(self.pruning_started, self.name)
        except ValueError as error:
            # An error inside of JAX's fit would cost the model its weights.
            if keras.backend.backend() != "jax":
                raise
            warnings.warn(str(error), stacklevel=2)

    def constant_kernel(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel as TensorFlow's converter is to find it."""
        return self.baked(kernel)

    def get_config(self) -> Config:
        """Keras configuration."""
        config = super().get_config()
        return config if self.pruning is None else {**config, "pruning": self.pruning.get_config()}


class PrunedKernel(SimulatedKernel):
    """Mixin: a float kernel that is pruned."""

    def simulated(self, kernel: Tensor) -> Tensor:
        """The kernel where the mask is set; the gradient likewise."""
        return kernel * ops.convert_to_tensor(self.mask)[0]

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel where the mask is set."""
        return kernel * self.mask.numpy()[0]


class QuantizedKernel(QuantizedLayer, SimulatedKernel):
    """Mixin: a kernel that is quantized, and may be pruned too."""


class MultiLevelKernel(QuantizedKernel):
    """Mixin: multi-level ternary (or binary) weights.

    Args:
      decomposition: A ``MultiLevelConfig`` or its fields as a dict. If it says so, the layer has
        the trainable float32 weights ``scales`` or ``thresholds``, of shape (levels, output
        channels), or (levels, 1) for one per tensor.
    """

    def __init__(self, *args: Any, decomposition: MultiLevelConfig | Config, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decomposition = as_config(decomposition)

    @property
    def mask_levels(self) -> int:
        """Planes of the mask."""
        return self.decomposition.levels

    def build(self, input_shape: Shape) -> None:
        """Adds the weights of the plain layer, of quantization and of pruning."""
        super().build(input_shape)
        spec = self.decomposition
        channels = int(np.prod(self.kernel.shape[-self.channel_axes :])) if spec.per_channel else 1
        for name, is_held in (
            ("scales", spec.learned_scales),
            ("thresholds", spec.threshold == "learned"),
        ):
            if is_held:
                shape = (spec.levels, channels)
                setattr(self, name, self._add_state(name, shape, "zeros", trainable=True))

    def start_training_state(self) -> None:
        """Sets learned scales and thresholds to what the kernel gives without learning."""
        start = decomposition.initial_state(
            decomposition.as_matrix(self.kernel.numpy(), self.channel_axes), self.decomposition
        )
        for name, value in start.items():
            getattr(self, name).assign(value)

    def simulated(self, kernel: Tensor) -> Tensor:
        """The multi-level kernel."""
        return decomposition.trained_quantize(
            kernel,
            self.decomposition,
            self.channel_axes,
            array_namespace(),
            ops.stop_gradient,
            self.state(ops.convert_to_tensor),
        )

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The multi-level kernel in NumPy."""
        return decomposition.quantize(
            kernel, self.decomposition, self.channel_axes, np, self.state(eager_value)
        )

    def get_config(self) -> Config:
        """Keras configuration."""
        return {**super().get_config(), "decomposition": dataclasses.asdict(self.decomposition)}


class Int8Kernel(QuantizedKernel):
    """Mixin: symmetric int8 weights, as TFLite stores them.

    Attributes:
      has_int8_kernel: Whether the layer has int8 weights, not levels.
      known_sum: Gives what the layer adds up, where the tensor that is stored is that sum.
    """

    has_int8_kernel = True
    known_sum: Callable[[], Int8Sum | None] = staticmethod(lambda: None)

    def kernel_steps(self) -> Tensor:
        """Steps of the kernel, on the backend: a scalar, or one for each output channel."""
        axes = INT8_CHANNEL_AXES[self.plain_class.__name__]
        kernel = ops.stop_gradient(ops.cast(self.kernel, "float32"))
        if self.pruning is not None:
            kernel = kernel * ops.convert_to_tensor(self.mask)[0]
        steps = int8_simulation.kernel_steps(kernel, axes, array_namespace())
        return ops.reshape(steps, (-1,)) if axes else ops.reshape(steps, ())

    def call_bias(self, training: bool | None) -> Tensor:
        """The bias, rounded as TFLite stores it where that is known, but for training."""
        found = None if training else self.known_sum()
        if found is None or current_mode() is not SimulationMode.SIMULATE:
            return self.bias
        bias = ops.convert_to_tensor(self.bias)
        rounded = int8_simulation.int32_bias(
            ops.stop_gradient(ops.cast(bias, "float32")), found.step(), array_namespace()
        )
        return decomposition.straight_through(
            bias, ops.cast(rounded, bias.dtype), ops.stop_gradient
        )

    def _rounded(self, kernel: Tensor, xp: ArrayNamespace) -> Tensor:
        axes = INT8_CHANNEL_AXES[self.plain_class.__name__]
        return int8_simulation.int8_kernel(kernel, axes, xp)

    def simulated(self, kernel: Tensor) -> Tensor:
        """The kernel, rounded."""
        if self.pruning is not None:
            kernel = kernel * ops.convert_to_tensor(self.mask)[0]
        quantized = self._rounded(ops.stop_gradient(kernel), array_namespace())
        return decomposition.straight_through(kernel, quantized, ops.stop_gradient)

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel, rounded in NumPy."""
        return self._rounded(self.constant_kernel(kernel), np)

    def constant_kernel(self, kernel: np.ndarray) -> np.ndarray:
        """Not rounded: the converter does that the same way."""
        return kernel if self.pruning is None else kernel * eager_value(self.mask)[0]


class _ConvolutionCall(LayerBase):
    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        kernel = self.call_kernel(training)
        converted = _convert_dilated(self, inputs, kernel, training, is_depthwise=False)
        if converted is not None:
            return converted
        padding = self.padding
        if padding == "causal":  # of Conv1D
            inputs = ops.pad(inputs, self._compute_causal_padding())
            padding = "valid"
        outputs = ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs, training)


class _DepthwiseConvolutionCall(LayerBase):
    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        kernel = self.call_kernel(training)
        converted = _convert_dilated(self, inputs, kernel, training, is_depthwise=True)
        if converted is not None:
            return converted
        outputs = ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs, training)


class _DenseCall(LayerBase):
    data_format = "channels_last"

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = ops.matmul(inputs, self.call_kernel(training))
        return _with_bias_and_activation(self, outputs, training)


class _TransposedConvolutionCall(LayerBase):
    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = ops.conv_transpose(
            inputs,
            self.call_kernel(training),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs, training)


class _EinsumCall(LayerBase):
    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = ops.einsum(self.equation, inputs, self.call_kernel(training))
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


def _convert_dilated(
    layer: Layer, inputs: Tensor, kernel: Tensor, training: bool | None, is_depthwise: bool
) -> Tensor | None:
    """What a dilated layer gives, as the converter is to find it; None for any other call."""
    if current_mode() is not SimulationMode.CONVERT:
        return None
    from tfmot_mltq.helpers.dilated_convolution import dilated_convolution, is_dilated

    if not is_dilated(layer):
        return None
    outputs = dilated_convolution(inputs, kernel, layer, is_depthwise)
    return _with_bias_and_activation(layer, outputs, training)


def _with_bias_and_activation(layer: Layer, outputs: Tensor, training: bool | None) -> Tensor:
    if layer.use_bias:
        bias = layer.call_bias(training)
        if layer.data_format == "channels_first":
            bias = ops.reshape(bias, (1, -1, *[1] * layer.rank))
        outputs = ops.add(outputs, bias)
    return outputs if layer.activation is None else layer.activation(outputs)


class MultiLevelConv2D(MultiLevelKernel, _ConvolutionCall, keras.layers.Conv2D):
    """Conv2D with multi-level weights: kernel (height, width, input channels, output channels)."""


class MultiLevelConv1D(MultiLevelKernel, _ConvolutionCall, keras.layers.Conv1D):
    """Conv1D with multi-level weights: kernel (width, input channels, output channels)."""


class MultiLevelDense(MultiLevelKernel, _DenseCall, keras.layers.Dense):
    """Dense with multi-level weights: kernel (inputs, outputs)."""


class MultiLevelDepthwiseConv1D(
    MultiLevelKernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv1D
):
    """DepthwiseConv1D with multi-level weights: kernel (width, channels, multiplier)."""


class MultiLevelDepthwiseConv2D(
    MultiLevelKernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv2D
):
    """DepthwiseConv2D with multi-level weights: kernel (height, width, channels, multiplier)."""


class Int8Conv2D(Int8Kernel, _ConvolutionCall, keras.layers.Conv2D):
    """Conv2D with stock int8 weights, one scale per output channel."""


class Int8Conv1D(Int8Kernel, _ConvolutionCall, keras.layers.Conv1D):
    """Conv1D with stock int8 weights, one scale per output channel."""


class Int8Dense(Int8Kernel, _DenseCall, keras.layers.Dense):
    """Dense with stock int8 weights, one scale for all of them."""


class Int8DepthwiseConv1D(Int8Kernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv1D):
    """DepthwiseConv1D with stock int8 weights, one scale per output channel."""


class Int8DepthwiseConv2D(Int8Kernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D with stock int8 weights, one scale per output channel."""


class Int8Conv2DTranspose(Int8Kernel, _TransposedConvolutionCall, keras.layers.Conv2DTranspose):
    """Conv2DTranspose with stock int8 weights, one scale per output channel."""


class Int8Conv1DTranspose(Int8Kernel, _TransposedConvolutionCall, keras.layers.Conv1DTranspose):
    """Conv1DTranspose with stock int8 weights, one scale per output channel."""


class Int8EinsumDense(Int8Kernel, _EinsumCall, keras.layers.EinsumDense):
    """EinsumDense with stock int8 weights, one scale for all of them."""


class PrunedConv2D(PrunedKernel, _ConvolutionCall, keras.layers.Conv2D):
    """Conv2D with a pruned float kernel."""


class PrunedConv1D(PrunedKernel, _ConvolutionCall, keras.layers.Conv1D):
    """Conv1D with a pruned float kernel."""


class PrunedDense(PrunedKernel, _DenseCall, keras.layers.Dense):
    """Dense with a pruned float kernel."""


class PrunedDepthwiseConv1D(PrunedKernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv1D):
    """DepthwiseConv1D with a pruned float kernel."""


class PrunedDepthwiseConv2D(PrunedKernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D with a pruned float kernel."""


def _by_plain_class(*classes: type[SimulatedKernel]) -> dict[str, type[SimulatedKernel]]:
    return {cls.plain_class.__name__: cls for cls in classes}


MULTI_LEVEL_CLASSES = _by_plain_class(
    MultiLevelConv2D,
    MultiLevelConv1D,
    MultiLevelDense,
    MultiLevelDepthwiseConv1D,
    MultiLevelDepthwiseConv2D,
)
INT8_CLASSES = _by_plain_class(
    Int8Conv2D,
    Int8Conv1D,
    Int8Conv1DTranspose,
    Int8Conv2DTranspose,
    Int8Dense,
    Int8DepthwiseConv1D,
    Int8DepthwiseConv2D,
    Int8EinsumDense,
)
PRUNED_CLASSES = _by_plain_class(
    PrunedConv2D, PrunedConv1D, PrunedDense, PrunedDepthwiseConv1D, PrunedDepthwiseConv2D
)


def copy_all_weights(copies: Iterable[tuple[Layer, Layer]]) -> None:
    """Copies the weights of layers to their copies, some of which are quantized or pruned."""
    for layer, copy in copies:
        if isinstance(copy, SimulatedKernel):
            _copy_kernel_weights(layer, copy)
        elif isinstance(copy, Int8LSTM) and not isinstance(layer, Int8LSTM):
            copy_weights([(layer.cell, copy.cell)])
        else:
            copy_weights([(layer, copy)])


def _copy_kernel_weights(layer: Layer, copy: SimulatedKernel) -> None:
    """Copies the weights of a layer to one with the same kernel that is quantized or pruned as the
    layer may not be. Steps of pruning are counted anew.
    """
    values = {weight.name: weight.numpy() for weight in layer.weights}
    for weight in copy.weights:
        if weight.name in values and weight.name != "pruning_step":
            weight.assign(values[weight.name])
    if isinstance(copy, MultiLevelKernel) and not isinstance(layer, MultiLevelKernel):
        copy.start_training_state()
