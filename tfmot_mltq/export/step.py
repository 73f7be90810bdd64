"""What generated code has to do for the operators of a model."""

from __future__ import annotations

import dataclasses

from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.errors import ConversionError
from tfmot_mltq.export.operators import READERS
from tfmot_mltq.export.reader import WAY_OUT, Reader, Step, Tensor, read_tensor
from tfmot_mltq.helpers import flatbuffer

_TYPES = {"input": ("int8", "float32", "int32"), "output": ("int8", "float32")}


@dataclasses.dataclass(frozen=True)
class Steps:
    """A model as generated code runs it.

    Attributes:
      steps: In order.
      tensors: Its tensors, by number.
      inputs, outputs: Their numbers.
    """

    steps: list[Step]
    tensors: dict[int, Tensor]
    inputs: list[int]
    outputs: list[int]


def read_steps(tflite: bytes) -> Steps:
    """Reads a model.

    Operators whose results no output depends on are left out: TensorFlow computes shapes in the
    graph, and all shapes are known here.

    Raises:
      ValueError: The bytes are not a TFLite model.
      ConversionError: It has an operator that generated code has not, or an input or output of a
        type that it has not.
    """
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    inputs, outputs = [list(map(int, ends)) for ends in (graph.inputs, graph.outputs)]
    for what, ends in (("input", inputs), ("output", outputs)):
        for index in ends:
            _check_end(model, graph.tensors[index], what)
    needed = set(outputs)
    steps: list[Step] = []
    for number in reversed(range(len(graph.operators))):
        reader = Reader(model, graph, number)
        if not needed & set(map(int, reader.operator.outputs)):
            continue
        if reader.op not in READERS:
            raise reader.refusal(f"the operators that do are {', '.join(sorted(READERS))}")
        steps.insert(0, READERS[reader.op](reader))
        needed |= set(steps[0].inputs)
    numbers = {*inputs, *outputs}
    for step in steps:
        numbers |= {*step.inputs, *step.outputs, *step.states}
    tensors = {index: read_tensor(graph.tensors[index]) for index in sorted(numbers)}
    return Steps(steps, tensors, inputs, outputs)


def _check_end(model: schema.ModelT, tensor: schema.TensorT, what: str) -> None:
    found = read_tensor(tensor)
    if found.dtype not in _TYPES[what]:
        raise ConversionError(
            f"The {what} '{found.name}' is {found.dtype}; without the interpreter inputs can be "
            "int8, float32 that is quantized at once, or int32 positions of an embedding, and "
            f"outputs int8 or float32. {WAY_OUT}"
        )
    if flatbuffer.constant(model, tensor) is not None:
        raise ConversionError(f"The {what} '{found.name}' is a constant. {WAY_OUT}")
