"""An operator of a .tflite that is being read, with the checks that all operators share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.errors import ConversionError
from tfmot_mltq.export.c_code import Argument, Array, Call, Source, State, Target
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.helpers.activation_range import activation_range

_TYPE_NAMES = {
    value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)
}
WAY_OUT = "mltq export --runtime=tflm runs the model with TensorFlow Lite Micro instead."


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the model.

    Attributes:
      name: In the model.
      shape: With the batch dimension.
      dtype: "int8", "float32", "int32" for positions, or "int16" for the state of an LSTM.
      scale, zero_point: Of int8 values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Values."""
        return int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """Memory."""
        return self.size * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Step:
    """What generated code does for one operator.

    Attributes:
      operator: Its number in the model.
      inputs, outputs: Numbers of tensors of the model.
      states: Numbers of its variables.
      scratch_bytes: Memory that its calls need beside tensors; of a layer with levels, what its
        kernels say.
      calls: Of C functions. Without any, the output is where the input is.
      packed: Of a layer with levels.
    """

    operator: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[Call, ...]
    packed: PackedTensor | None = None
    states: tuple[int, ...] = ()
    scratch_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class PackedTensor:
    """A packed layer: its bytes, the operator that it is for, and its name."""

    data: bytes
    kind: int
    name: str


@dataclasses.dataclass(frozen=True)
class Reader:
    """An operator that is being read; ``position`` counts its inputs or outputs."""

    model: schema.ModelT
    graph: schema.SubGraphT
    number: int

    @property
    def operator(self) -> schema.OperatorT:
        """In the schema."""
        return self.graph.operators[self.number]

    @property
    def op(self) -> str:
        """Name of the operator."""
        return flatbuffer.operator_name(self.model, self.operator)

    @property
    def options(self) -> Any:
        """Its built-in options."""
        return self.operator.builtinOptions

    def refusal(self, reason: str) -> ConversionError:
        """The error that says why the operator cannot be exported, to be raised."""
        name = flatbuffer.tensor_name(self.graph.tensors[self.operator.outputs[0]])
        return ConversionError(
            f"{self.op} '{name}' does not run without the interpreter: {reason}. {WAY_OUT}"
        )

    def require(self, condition: bool, reason: str) -> None:
        """Refuses the operator where a condition does not hold."""
        if not condition:
            raise self.refusal(reason)

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        inputs = self.operator.inputs
        return position < len(inputs) and inputs[position] >= 0

    def input(self, position: int = 0, dtype: str = "int8") -> Tensor:
        """An input that is one of the model's activations, or a constant in their place."""
        self.require(self.has(position), f"input {position} is missing")
        return self._tensor(self.operator.inputs[position], dtype)

    def output(self, position: int = 0, dtype: str = "int8") -> Tensor:
        """An output."""
        return self._tensor(self.operator.outputs[position], dtype)

    def _tensor(self, index: int, dtype: str) -> Tensor:
        tensor = read_tensor(self.graph.tensors[index])
        self.require(tensor.dtype == dtype, f"'{tensor.name}' is {tensor.dtype}, not {dtype}")
        self.require(
            dtype != "int8" or tensor.scale > 0.0, f"'{tensor.name}' does not have a single scale"
        )
        self.require(tensor.size > 0, f"'{tensor.name}' is empty")
        return tensor

    def constant(self, position: int) -> np.ndarray | None:
        """Value of an input; None where it is missing or no constant."""
        if not self.has(position):
            return None
        tensor = self.graph.tensors[self.operator.inputs[position]]
        return flatbuffer.constant(self.model, tensor)

    def constant_list(self, position: int, what: str) -> list[int]:
        """A constant of whole numbers, which has to be there."""
        value = self.constant(position)
        if value is None:
            raise self.refusal(f"{what} are not constant")
        return [int(number) for number in value.reshape(-1)]

    def source(self, position: int = 0) -> Source | Array:
        """The argument of a call for an int8 input."""
        value = self.constant(position)
        if value is None:
            return Source(int(self.operator.inputs[position]))
        return Array(f"Input{position}", "int8_t", value.reshape(-1).tolist())

    def state(self, position: int) -> State:
        """The argument of a call for an input that is a variable."""
        index = int(self.operator.inputs[position])
        is_variable = bool(self.graph.tensors[index].isVariable)
        self.require(is_variable, f"input {position} is not a variable")
        return State(index)

    def target(self, position: int = 0) -> Target:
        """The argument of a call for an output."""
        return Target(int(self.operator.outputs[position]))

    def step(
        self, *calls: Call, packed: PackedTensor | None = None, scratch_bytes: int = 0
    ) -> Step:
        """What the operator does. The tensors that the calls read are its inputs."""
        arguments = [argument for call in calls for argument in call.arguments]
        found = [argument.tensor for argument in arguments if isinstance(argument, Source)]
        states = [argument.tensor for argument in arguments if isinstance(argument, State)]
        return Step(
            self.number, _unique(found), self._outputs(), calls, packed, _unique(states),
            scratch_bytes,
        )  # fmt: skip

    def alias(self) -> Step:
        """The same values in another shape."""
        self.require(self.constant(0) is None, "the input is a constant")
        self.require(
            self.input().size == self.output().size,
            "the output does not have the size of the input",
        )
        return Step(self.number, (int(self.operator.inputs[0]),), self._outputs(), ())

    def _outputs(self) -> tuple[int, ...]:
        return tuple(map(int, self.operator.outputs))

    def image_calls(self, call: Call, position: int = 0) -> list[Call]:
        """A call of a function of one image, as one call for each image of the input."""
        source, target = self.input(position), self.output()
        images = source.shape[0]
        self.require(
            images == 1 or self.constant(position) is None, "the input is a constant of images"
        )

        def of_image(argument: Argument, image: int) -> Argument:
            if isinstance(argument, Source):
                return Source(argument.tensor, image * source.size // images)
            if isinstance(argument, Target):
                return Target(argument.tensor, image * target.size // images)
            return argument

        return [
            Call(call.function, tuple(of_image(a, image) for a in call.arguments))
            for image in range(images)
        ]

    def require_images(self, position: int = 0) -> None:
        """Refuses tensors that are not images."""
        source, target = self.input(position), self.output()
        self.require(
            len(source.shape) == len(target.shape) == 4 and source.shape[0] == target.shape[0],
            f"its shapes {source.shape} and {target.shape} are not those of images",
        )

    def clamp(self) -> dict[str, int]:
        """Range of the output with the fused activation."""
        target = self.output()
        none = schema.ActivationFunctionType.NONE
        function = getattr(self.options, "fusedActivationFunction", none)
        try:
            low, high = activation_range(function, target.scale, target.zero_point)
        except KeyError:
            raise self.refusal("its fused activation is not one of the ReLUs") from None
        return {"activation_min": low, "activation_max": high}


def read_tensor(tensor: schema.TensorT) -> Tensor:
    """A tensor of the schema; scale 0 where it has none, or several."""
    quantization = tensor.quantization
    scales = getattr(quantization, "scale", None)
    scale, zero_point = 0.0, 0
    if scales is not None and len(scales) == 1:
        scale, zero_point = float(scales[0]), int(quantization.zeroPoint[0])
    shape = () if tensor.shape is None else tuple(map(int, tensor.shape))
    return Tensor(
        flatbuffer.tensor_name(tensor), shape, _TYPE_NAMES[tensor.type], scale, zero_point
    )


def _unique(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(numbers))
