"""Inputs and outputs of a .tflite model, read from the file."""

from __future__ import annotations

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.helpers import flatbuffer


@dataclasses.dataclass(frozen=True)
class TensorDetails:
    """An input or output.

    Attributes:
      name: Tensor name.
      shape: With the batch dimension.
      dtype: Element type.
      scale: Step of a quantized tensor in real units; 0 if it is not quantized.
      zero_point: Integer that stands for 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero_point: int

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Real values to the tensor's integers, rounded to nearest and saturated.

        Raises:
          ValueError: A value is NaN, for which there is no integer.
        """
        if not self.scale:
            return x.astype(self.dtype)
        if np.isnan(x).any():
            raise ValueError(f"Input '{self.name}' has values that are NaN.")
        limits = np.iinfo(self.dtype)
        steps = np.rint(x.astype(np.float64) / self.scale) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, x: np.ndarray) -> np.ndarray:
        """The tensor's integers to real values, float32."""
        if not self.scale:
            return x
        return ((x.astype(np.float64) - self.zero_point) * self.scale).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ModelDetails:
    """What a runtime has to know of a model.

    Attributes:
      inputs, outputs: Of the model.
      arena_bound: Upper bound of the arena that the model needs, in bytes.
      has_state: Whether variables live from one inference to the next, such as those of an LSTM.
    """

    inputs: list[TensorDetails]
    outputs: list[TensorDetails]
    arena_bound: int
    has_state: bool


def read_details(tflite: bytes) -> ModelDetails:
    """Reads a model.

    Raises:
      ValueError: The bytes are not a TFLite model, or use a tensor type that cannot be exchanged.
    """
    model = flatbuffer.load(tflite)
    subgraph = model.subgraphs[0]
    return ModelDetails(
        inputs=[_details(subgraph.tensors[index]) for index in subgraph.inputs],
        outputs=[_details(subgraph.tensors[index]) for index in subgraph.outputs],
        arena_bound=_arena_bound(model),
        has_state=any(t.isVariable for subgraph in model.subgraphs for t in subgraph.tensors),
    )


def _details(tensor: schema.TensorT) -> TensorDetails:
    name = flatbuffer.tensor_name(tensor)
    if tensor.type not in flatbuffer.DTYPES:
        raise ValueError(f"Tensor '{name}' has the unsupported type {tensor.type}.")
    scale, zero_point = 0.0, 0
    quantization = tensor.quantization
    if quantization is not None and quantization.scale is not None and len(quantization.scale) == 1:
        scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
    return TensorDetails(
        name, tuple(map(int, tensor.shape)), flatbuffer.DTYPES[tensor.type], scale, zero_point
    )


def _arena_bound(model: schema.ModelT) -> int:
    """Every tensor at once, twice (operators want scratch of that order), and bookkeeping."""
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]
    operators = sum(len(subgraph.operators) for subgraph in model.subgraphs)
    sizes = sum(
        int(np.prod([] if tensor.shape is None else tensor.shape))
        * flatbuffer.DTYPES.get(tensor.type, np.dtype(np.float64)).itemsize
        for tensor in tensors
    )
    return 2 * sizes + 1024 * (len(tensors) + operators) + (1 << 18)
