"""Recurrent layers as the layers that TFLite's int8 operators compute.

TFLite has one recurrent operator, the LSTM with its usual activations. Layers that are made of such
LSTMs (Bidirectional, RNN of LSTM cells) become them. A GRU, a simple recurrent layer or an LSTM
with other activations is written out step by step in ordinary layers, each shared by all steps: so
its inner tensors have int8 ranges, one for all steps, and training simulates what the operators
compute.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tfmot_mltq.helpers.framework_types import Array, Layer, Model, Tensor
from tfmot_mltq.layout.expanded_layer import ExpandedLayer, with_expanded
from tfmot_mltq.layout.graph import ModelGraphs, Node, calls_of_layers
from tfmot_mltq.layout.layer_kinds import activation_name, is_a, kind_of

# A step of a GRU is some 17 operators, and each takes flash and time to convert.
MAX_STEPS = 64

# TensorFlow Lite Micro's CONCATENATION takes 10 tensors.
_CONCATENATED = 10

_RECURRENT = ("RNN", "Bidirectional", "ConvRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_LAYER_OF_CELL = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
_LAYERS = frozenset(_LAYER_OF_CELL.values())
_MERGES = {"concat": "Concatenate", "sum": "Add", "mul": "Multiply", "ave": "Average"}


def is_recurrent(layer: Layer) -> bool:
    """Whether a layer carries a state from step to step."""
    return is_a(layer, _RECURRENT)


def is_fused_lstm(layer: Layer) -> bool:
    """Whether a layer is what TFLite's LSTM operator computes."""
    return (
        kind_of(layer) == "LSTM"
        and activation_name(layer) == "tanh"
        and _name(layer.recurrent_activation) == "sigmoid"
        and not layer.stateful
    )


def expand_recurrent(model: Model, graphs: ModelGraphs) -> Model:
    """A model in which recurrent layers are those that TFLite computes.

    What cannot be expanded stays, and conversion refuses it: ``refusal`` says why.

    Args:
      model: Model without nested models; it is not changed.
      graphs: Of its framework.

    Returns:
      The model, itself if there is nothing to expand.
    """
    calls = calls_of_layers(graphs.nodes_in_order(model))
    expanded: dict[int, ExpandedLayer] = {
        id(layer): _Expanded(layer, graphs.keras)
        for layer in model.layers
        if is_recurrent(layer)
        and not is_fused_lstm(layer)
        and refusal(layer, calls.get(id(layer), []), model.layers) is None
    }
    return with_expanded(model, graphs, expanded)


def refusal(layer: Layer, calls: Iterable[Node], layers: Iterable[Layer]) -> str | None:
    """Why a recurrent layer has no int8 form, with the way out; None if it has one.

    Args:
      layer: The layer.
      calls: The nodes in which it is called.
      layers: All layers of the model.
    """
    masking = next((name for other in layers if (name := mask_maker(other))), None)
    if masking is not None:
        return (
            f"the mask of '{masking}' may reach it, and TFLite's operators have no masks: cut or "
            "pad the sequences to one length, without a mask"
        )
    for node in calls:
        if len(node.inputs) > 1:
            return (
                "it is called with an initial state; operators start from zeros: call it on the "
                "sequence alone"
            )
        if len(node.outputs) > 1:
            return (
                "it returns its state (return_state=True, or merge_mode=None): use "
                "return_sequences=True and what follows from its last step"
            )
    return _refusal_of(layer) or next(
        (reason for node in calls if (reason := _refusal_of_steps(layer, node))), None
    )


def _refusal_of(layer: Layer) -> str | None:
    if kind_of(layer) == "Bidirectional":
        if layer.stateful:
            return "it is stateful; the samples of a converted model are independent"
        return _refusal_of(layer.forward_layer) or _refusal_of(layer.backward_layer)
    if "ConvLSTM" in type(layer).__name__ or is_a(layer, ("ConvRNN",)):
        return (
            "TFLite has no operator for a recurrent convolution: use TimeDistributed convolutions "
            "and an LSTM, or convolutions over time"
        )
    if layer.stateful:
        return (
            "it is stateful, and Keras keeps its state from batch to batch: build it with "
            "stateful=False; mltq.Interpreter.invoke, and the device, keep the state of an LSTM "
            "until it is reset"
        )
    if kind_of(layer) in _LAYERS:
        return None
    if kind_of(layer) != "RNN":
        return f"{type(layer).__name__} is not one of LSTM, GRU, SimpleRNN, RNN and Bidirectional"
    unknown = [type(cell).__name__ for cell in _cells(layer) if kind_of(cell) not in _LAYER_OF_CELL]
    if unknown:
        return f"its cell is of the class {unknown[0]}: use LSTMCell, GRUCell or SimpleRNNCell"
    return None


def _refusal_of_steps(layer: Layer, node: Node) -> str | None:
    steps = node.inputs[0].shape[1]
    if steps is None:
        return "the number of its steps is not fixed: build the model with a fixed length"
    if steps <= MAX_STEPS or all(map(_is_lstm, _plain_layers(layer))):
        return None
    return (
        f"it is written out step by step, for at most {MAX_STEPS} steps, and has {steps}: use an "
        "LSTM with its default activations, for which TFLite has an operator, or fewer steps (by "
        "strides or pooling before it)"
    )


def _is_lstm(layer: Layer) -> bool:
    cell: Layer = getattr(layer, "cell", layer)
    return (
        kind_of(cell) == "LSTMCell"
        and activation_name(cell) == "tanh"
        and _name(cell.recurrent_activation) == "sigmoid"
    )


def _plain_layers(layer: Layer) -> Iterable[Layer]:
    """What holds the cells of a layer: both directions, and each cell of a stack."""
    if kind_of(layer) == "Bidirectional":
        return [*_plain_layers(layer.forward_layer), *_plain_layers(layer.backward_layer)]
    return _cells(layer)


def _cells(layer: Layer) -> list[Layer]:
    cell = layer.cell
    return list(cell.cells) if kind_of(cell) == "StackedRNNCells" else [cell]


def mask_maker(layer: Layer) -> str | None:
    """The name of a layer that makes a mask; None for other layers."""
    held: Layer = getattr(layer, "layer", layer)  # tf_keras' wrappers of quantized layers
    makes_mask = is_a(held, ("Masking",)) or getattr(held, "mask_zero", False)
    return held.name if makes_mask else None


def _name(activation: Callable[[Tensor], Tensor]) -> str:
    return getattr(activation, "__name__", type(activation).__name__)


class _Expanded(ExpandedLayer):
    """The layers that stand for a recurrent layer."""

    def __call__(self, x: Tensor, **_: object) -> Tensor:
        """Applies the layers to a symbolic tensor.

        Keras 3 passes ``training`` and ``mask``, which are None here.
        """
        layer = self._layer
        if kind_of(layer) != "Bidirectional":
            return self._run(layer, x, self.name)
        sequences = layer.forward_layer.return_sequences
        forward = self._run(layer.forward_layer, x, f"{self.name}_forward")
        backward = self._run(layer.backward_layer, x, f"{self.name}_backward")
        if sequences:
            backward = backward[:, ::-1]
        merge = getattr(self._keras.layers, _MERGES[layer.merge_mode])
        return self._call(self.name, merge, [forward, backward])

    def _run(self, layer: Layer, x: Tensor, name: str) -> Tensor:
        """A layer with one cell or a stack of them; ``name`` is that of its output."""
        cells = _cells(layer)
        if len(cells) == 1:
            return self._run_cell(cells[0], layer, x, name, layer.return_sequences)
        for number, cell in enumerate(cells):
            is_last = number == len(cells) - 1
            x = self._run_cell(
                cell,
                layer,
                x,
                name if is_last else f"{name}_{number}",
                layer.return_sequences or not is_last,
                layer.go_backwards and number == 0,
            )
        return x

    def _run_cell(
        self,
        cell: Layer,
        layer: Layer,
        x: Tensor,
        name: str,
        sequences: bool,
        go_backwards: bool | None = None,
    ) -> Tensor:
        backwards = layer.go_backwards if go_backwards is None else go_backwards
        if _is_lstm(cell):
            return self._lstm(cell, x, name, sequences, backwards)
        if getattr(cell, "recurrent_dropout", 0):
            warnings.warn(
                f"Layer '{layer.name}': recurrent_dropout has no effect when the "
                "quantized model is trained.",
                stacklevel=2,
            )
        if getattr(cell, "dropout", 0):
            x = self._call(f"{name}_dropout", self._keras.layers.Dropout, x, cell.dropout)
        order = range(x.shape[1])
        steps = _STEPS[kind_of(cell)](self, cell, x, name, order[::-1] if backwards else order)
        if sequences:
            return self._concatenated(name, steps)
        return self._call(name, self._keras.layers.Flatten, steps[-1])

    def _concatenated(self, name: str, steps: list[Tensor]) -> Tensor:
        """The steps as one sequence."""
        groups = 0
        while len(steps) > _CONCATENATED:
            parts = []
            for first in range(0, len(steps), _CONCATENATED):
                groups += 1
                parts.append(self._joined(f"{name}_{groups}", steps[first : first + _CONCATENATED]))
            steps = parts
        return self._joined(name, steps)

    def _joined(self, name: str, steps: list[Tensor]) -> Tensor:
        if len(steps) == 1:
            return steps[0]
        return self._call(name, self._keras.layers.Concatenate, steps, axis=1)

    def _lstm(self, cell: Layer, x: Tensor, name: str, sequences: bool, backwards: bool) -> Tensor:
        config = {key: value for key, value in cell.get_config().items() if key != "name"}
        lstm = self._layer_called(
            name,
            lambda: self._keras.layers.LSTM.from_config({
                **config, "name": name, "return_sequences": sequences, "go_backwards": backwards,
            }),
        )  # fmt: skip
        y = lstm(x)
        lstm.set_weights(cell.get_weights())
        return y

    def add(self, name: str, *tensors: Tensor) -> Tensor:
        """Their sum."""
        return self._call(name, self._keras.layers.Add, list(tensors))

    def subtract(self, name: str, *tensors: Tensor) -> Tensor:
        """The first minus the second."""
        return self._call(name, self._keras.layers.Subtract, list(tensors))

    def multiply(self, name: str, *tensors: Tensor) -> Tensor:
        """Their product."""
        return self._call(name, self._keras.layers.Multiply, list(tensors))

    def activate(self, name: str, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """An activation of the cell."""
        return self._call(name, self._keras.layers.Activation, x, function)

    def step(self, name: str, x: Tensor, at: int) -> Tensor:
        """One step of a sequence, as a sequence of one."""
        steps = x.shape[1]
        if steps == 1:
            return x
        cropping = (at, steps - 1 - at)
        return self._call(f"{name}_{at}", self._keras.layers.Cropping1D, x, cropping)

    def dense(
        self, name: str, x: Tensor, cell: Layer, kernel: np.ndarray, bias: np.ndarray | None = None
    ) -> Tensor:
        """A dense layer with the weights of one gate."""
        weights = "recurrent" if name.endswith("_state") else "kernel"
        return self._dense_of(
            name,
            x,
            kernel,
            bias,
            kernel_regularizer=getattr(cell, f"{weights}_regularizer", None),
            bias_regularizer=cell.bias_regularizer,
        )


def _weights(cell: Layer, gates: int) -> tuple[list[np.ndarray], list[np.ndarray], list[Array]]:
    """Kernels, recurrent kernels and biases of each gate; None for biases that there are not.

    A GRU that resets after the product has two rows of biases.
    """
    kernel, recurrent, *bias = cell.get_weights()
    return (
        np.split(kernel, gates, axis=1),
        np.split(recurrent, gates, axis=1),
        np.split(bias[0], gates, axis=-1) if bias else [None] * gates,
    )


def _simple_steps(
    to: _Expanded, cell: Layer, x: Tensor, name: str, order: Sequence[int]
) -> list[Tensor]:
    (kernel,), (recurrent,), (bias,) = _weights(cell, 1)
    of_input = to.dense(f"{name}_input", x, cell, kernel, bias)
    outputs: list[Tensor] = []
    for at in order:
        total = to.step(f"{name}_input", of_input, at)
        if outputs:
            of_state = to.dense(f"{name}_state", outputs[-1], cell, recurrent)
            total = to.add(f"{name}_sum", total, of_state)
        outputs.append(to.activate(f"{name}_output", cell.activation, total))
    return outputs


def _lstm_steps(
    to: _Expanded, cell: Layer, x: Tensor, name: str, order: Sequence[int]
) -> list[Tensor]:
    kernels, recurrents, biases = _weights(cell, 4)
    names = [f"{name}_{gate}" for gate in ("i", "f", "c", "o")]
    functions = [cell.recurrent_activation] * 4
    functions[2] = cell.activation
    of_input = [
        to.dense(f"{gate}_input", x, cell, kernel, bias)
        for gate, kernel, bias in zip(names, kernels, biases, strict=True)
    ]
    outputs: list[Tensor] = []
    carry = None
    for at in order:
        gates = []
        for gate, sequence, recurrent, function in zip(
            names, of_input, recurrents, functions, strict=True
        ):
            total = to.step(f"{gate}_input", sequence, at)
            if outputs:
                of_state = to.dense(f"{gate}_state", outputs[-1], cell, recurrent)
                total = to.add(f"{gate}_sum", total, of_state)
            gates.append(to.activate(gate, function, total))
        new = to.multiply(f"{name}_new", gates[0], gates[2])
        if carry is None:
            # The carry of the first step has the range of all carries.
            kept = to.subtract(f"{name}_zero", new, new)
        else:
            kept = to.multiply(f"{name}_kept", gates[1], carry)
        carry = to.add(f"{name}_carry", kept, new)
        shown = to.activate(f"{name}_carry_activation", cell.activation, carry)
        outputs.append(to.multiply(f"{name}_output", gates[3], shown))
    return outputs


def _gru_steps(
    to: _Expanded, cell: Layer, x: Tensor, name: str, order: Sequence[int]
) -> list[Tensor]:
    kernels, recurrents, biases = _weights(cell, 3)
    names = [f"{name}_{gate}" for gate in ("z", "r", "h")]
    state_bias = None
    if biases[0] is not None and cell.reset_after:
        state_bias = biases[2][1]
        biases = [biases[0].sum(axis=0), biases[1].sum(axis=0), biases[2][0]]
    of_input = [
        to.dense(f"{gate}_input", x, cell, kernel, bias)
        for gate, kernel, bias in zip(names, kernels, biases, strict=True)
    ]
    update_name, reset_name, new_name = names
    first = to.step(f"{new_name}_input", of_input[2], order[0])
    zero = to.subtract(f"{name}_zero", first, first)
    # The first state has the range of all states.
    state = to.add(f"{name}_output", zero, zero)
    outputs = []
    for at in order:
        update, reset = (
            to.activate(
                gate,
                cell.recurrent_activation,
                to.add(
                    f"{gate}_sum",
                    to.step(f"{gate}_input", sequence, at),
                    to.dense(f"{gate}_state", state, cell, recurrent),
                ),
            )
            for gate, sequence, recurrent in zip(
                names[:2], of_input[:2], recurrents[:2], strict=True
            )
        )
        if cell.reset_after:
            of_state = to.dense(f"{new_name}_state", state, cell, recurrents[2], state_bias)
            of_state = to.multiply(f"{reset_name}_product", reset, of_state)
        else:
            of_state = to.multiply(f"{reset_name}_product", reset, state)
            of_state = to.dense(f"{new_name}_state", of_state, cell, recurrents[2])
        total = to.add(f"{new_name}_sum", to.step(f"{new_name}_input", of_input[2], at), of_state)
        new = to.activate(new_name, cell.activation, total)
        # z h + (1 - z) n, with one product
        change = to.multiply(
            f"{update_name}_product", update, to.subtract(f"{name}_difference", state, new)
        )
        state = to.add(f"{name}_output", new, change)
        outputs.append(state)
    return outputs


_STEPS = {"SimpleRNNCell": _simple_steps, "GRUCell": _gru_steps, "LSTMCell": _lstm_steps}
