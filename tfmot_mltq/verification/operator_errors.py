"""How far each operator of a .tflite is from the quantized Keras model, on samples.

An operator's output is compared with the tensor of the Keras model that it stands for. That is
found by the name of the layer and, where TensorFlow changed names, by the scale that a range of
the model gives; a tensor inside a layer, which Keras does not have, is not compared.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.graph import Node
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES
from tfmot_mltq.runtime.interpreter import Interpreter

# Of nodes that follow a layer until its output is what TFLite stores: batch normalisation, ReLU,
# and the quantizer.
_NODES_BEHIND = 4
# A tensor found by its size alone has to be this similar to be taken for the same, in dB.
_SAME_SNR = 15.0


@dataclasses.dataclass(frozen=True)
class OperatorError:
    """An operator's output against the Keras model.

    Attributes:
      number: Of the operator in the main graph.
      op: Name in the schema, or of the custom operator.
      layer: Layer of the Keras model; "" if the tensor has no counterpart there.
      tensor: Name of the output tensor.
      shape: Of the output, with the batch.
      scale: Real value of a step; 0 for a float output.
      largest: Largest difference: in steps, or real for a float output. None if not compared.
      mean: Mean difference, likewise.
      snr: Power of the Keras tensor over that of the difference, in dB; infinite if there is none.
        None if not compared.
    """

    number: int
    op: str
    layer: str
    tensor: str
    shape: tuple[int, ...]
    scale: float
    largest: float | None = None
    mean: float | None = None
    snr: float | None = None


def operator_errors(
    model: Model, adapter: Adapter, tflite: bytes, samples: Sequence[np.ndarray], runtime: str
) -> list[OperatorError]:
    """The errors of all operators of the main graph, in order.

    Args:
      model: The quantized Keras model.
      adapter: Of its framework.
      tflite: What it was converted to.
      samples: Real inputs, one array for each with the batch first.
      runtime: "tflm" or "litert", which runs on its reference kernels.
    """
    keras_tensors = _keras_tensors(model, adapter, samples)
    parsed = flatbuffer.load(tflite)
    graph = parsed.subgraphs[0]
    values = _operator_outputs(tflite, samples, runtime)
    found = []
    for number, operator in enumerate(graph.operators):
        index = int(operator.outputs[0])
        tensor = graph.tensors[index]
        scale = _scale(tensor)
        error = OperatorError(
            number,
            flatbuffer.operator_name(parsed, operator),
            "",
            flatbuffer.tensor_name(tensor),
            tuple(map(int, tensor.shape)),
            scale,
        )
        hint = _layer_hint(parsed, graph, operator)
        counterpart = _counterpart(keras_tensors, hint, tensor, values[number])
        found.append(
            error if counterpart is None else _measured(error, counterpart, values[number])
        )
    return found


@dataclasses.dataclass(frozen=True)
class _KerasTensor:
    """An output of a layer on the samples.

    Attributes:
      layer: Name.
      aliases: Names of layers whose output TFLite stores here, this one's among them.
      quantization: Scale and zero point, if it is the output of a quantizer.
      values: Real values, (samples, elements).
    """

    layer: str
    aliases: frozenset[str]
    quantization: tuple[float, int] | None
    values: np.ndarray


def _keras_tensors(
    model: Model, adapter: Adapter, samples: Sequence[np.ndarray]
) -> list[_KerasTensor]:
    graphs = adapter.graphs
    nodes = [node for node in graphs.nodes_in_order(model) if len(node.outputs) == 1]
    aliases = _aliases(nodes)
    taps = graphs.keras.Model(model.inputs, [node.outputs[0] for node in nodes])
    outputs = graphs.flat_call(taps, adapter.as_inputs(model, samples))
    count = len(samples[0])
    return [
        _KerasTensor(
            _plain_name(node.layer.name),
            aliases[id(node.outputs[0])],
            adapter.output_quantization(node.layer),
            np.asarray(adapter.to_numpy(value), np.float64).reshape(count, -1),
        )
        for node, value in zip(nodes, outputs, strict=True)
    ]


def _aliases(nodes: Sequence[Node]) -> dict[int, frozenset[str]]:
    """By tensor: the layers before it whose output may be stored as this tensor."""
    makers = {id(node.outputs[0]): node for node in nodes}
    found = {}
    for node in nodes:
        names = {_plain_name(node.layer.name)}
        here = node
        for _ in range(_NODES_BEHIND):
            if len(here.inputs) != 1 or id(here.inputs[0]) not in makers:
                break
            here = makers[id(here.inputs[0])]
            names.add(_plain_name(here.layer.name))
        found[id(node.outputs[0])] = frozenset(names)
    return found


def _plain_name(name: str) -> str:
    """The name that the user gave, without those of quantizers and wrappers."""
    return name.removeprefix("quantize_").removeprefix("quant_")


def _operator_outputs(
    tflite: bytes, samples: Sequence[np.ndarray], runtime: str
) -> list[np.ndarray]:
    """Real values of the first output of each operator, (samples, elements).

    They are made outputs of the model, so that the runtime keeps them all.
    """
    parsed = flatbuffer.load(tflite)
    graph = parsed.subgraphs[0]
    indices = [int(operator.outputs[0]) for operator in graph.operators]
    graph.outputs = list(dict.fromkeys(indices))
    parsed.signatureDefs = None
    options = {"reference_kernels": True} if runtime == "litert" else {}
    interpreter = Interpreter(flatbuffer.save(parsed), runtime, **options)
    outputs = interpreter.predict(list(samples) if len(samples) > 1 else samples[0])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    by_index = dict(zip(graph.outputs, outputs, strict=True))
    count = len(samples[0])
    return [np.asarray(by_index[index], np.float64).reshape(count, -1) for index in indices]


def _layer_hint(parsed: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> str:
    """The name of the layer, as far as the file tells."""
    if flatbuffer.operator_name(parsed, operator) in CUSTOM_OP_NAMES.values():
        return flatbuffer.layer_name(graph.tensors[operator.inputs[1]])
    return flatbuffer.tensor_name(graph.tensors[operator.outputs[0]]).partition("/")[0]


def _counterpart(
    keras_tensors: Sequence[_KerasTensor], hint: str, tensor: schema.TensorT, values: np.ndarray
) -> _KerasTensor | None:
    candidates = [held for held in keras_tensors if held.values.shape == values.shape]
    quantization = _quantization(tensor)
    names = {hint, re.sub(r"_\d+$", "", hint)}
    named = [held for held in candidates if names & held.aliases]
    of_scale = [held for held in candidates if _is_same_scale(held.quantization, quantization)]
    found = min(
        [*named, *of_scale] or candidates,
        key=lambda held: _distance(held.values, values),
        default=None,
    )
    # Tensors that share a range have one scale: it alone does not tell which one this is.
    is_sure = bool(named) or len(of_scale) == 1
    if found is None or not (is_sure or _snr(found.values, values) >= _SAME_SNR):
        return None
    # The output of a layer, not yet rounded, may be nearer than that of the quantizer after it.
    # Of the calls of a shared layer the nearest is the one.
    stored = [held for held in of_scale if held.layer == found.layer]
    return min(stored, key=lambda held: _distance(held.values, values), default=found)


def _measured(error: OperatorError, held: _KerasTensor, values: np.ndarray) -> OperatorError:
    difference = np.abs(values - held.values) / (error.scale or 1.0)
    return dataclasses.replace(
        error,
        layer=held.layer,
        largest=float(difference.max()),
        mean=float(difference.mean()),
        snr=_snr(held.values, values),
    )


def _snr(reference: np.ndarray, values: np.ndarray) -> float:
    noise, power = _distance(reference, values), float(np.square(reference).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(power / noise) if power > 0 else -math.inf


def _distance(reference: np.ndarray, values: np.ndarray) -> float:
    return float(np.square(values - reference).sum())


def _quantization(tensor: schema.TensorT) -> tuple[float, int] | None:
    if tensor.type != schema.TensorType.INT8 or not _scale(tensor):
        return None
    return _scale(tensor), int(tensor.quantization.zeroPoint[0])


def _scale(tensor: schema.TensorT) -> float:
    quantization = tensor.quantization
    is_set = quantization is not None and quantization.scale is not None
    return float(quantization.scale[0]) if is_set and len(quantization.scale) == 1 else 0.0


def _is_same_scale(held: tuple[float, int] | None, tensor: tuple[float, int] | None) -> bool:
    if held is None or tensor is None:
        return False
    return math.isclose(held[0], tensor[0], rel_tol=1e-4) and abs(held[1] - tensor[1]) <= 1
