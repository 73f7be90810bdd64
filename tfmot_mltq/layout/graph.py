"""Functional models as graphs: walking them, and building changed copies.

Each framework derives from ``ModelGraphs`` and says how its models are read; everything else is the
same for tf_keras and Keras 3.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model, Structure, Tensor
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights, own_objects
from tfmot_mltq.layout.frameworks import framework_of
from tfmot_mltq.layout.layer_kinds import fuses
from tfmot_mltq.layout.names import NamesInUse, flat_names, scope_name, with_scope_names
from tfmot_mltq.layout.user_class import overrides
from tfmot_mltq.mathematics.decomposition import check_finite

# Turns a layer into the layers that replace it, applied one after the other.
Replace = Callable[[Layer], list[Layer]]


@dataclasses.dataclass(frozen=True)
class Node:
    """One call of a layer (or of an operation without weights).

    Attributes:
      layer: What is called.
      inputs: Symbolic tensors that the call reads.
      outputs: Symbolic tensors that it returns.
      is_input: Whether it is an input of the model.
      arguments: The positional and keyword arguments of the call, with new tensors in the place of
        ``inputs``, from a mapping of id(old tensor) to new tensor.
    """

    layer: Layer
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    is_input: bool
    arguments: Callable[[dict[int, Tensor]], tuple[tuple[Structure, ...], dict[str, Structure]]]


class ModelGraphs(abc.ABC):
    """The functional models of one framework.

    Attributes:
      keras: The framework, ``tf_keras`` or ``keras``.
    """

    keras: ModuleType

    @abc.abstractmethod
    def nodes_in_order(self, model: Model) -> list[Node]:
        """Calls of a model, producers before consumers."""

    @abc.abstractmethod
    def is_functional(self, model: Model) -> bool:
        """Whether a model is Sequential or functional, rather than subclassed."""

    @abc.abstractmethod
    def is_built(self, model: Model) -> bool:
        """Whether a functional or Sequential model knows the shapes of its inputs."""

    @abc.abstractmethod
    def input_names(self, model: Model) -> list[str]:
        """Names of the inputs, in the order of ``model.inputs``."""

    @abc.abstractmethod
    def flatten(self, structure: Structure) -> list[Tensor]:
        """The tensors of nested lists, tuples and dicts."""

    @abc.abstractmethod
    def pack(self, structure: Structure, flat: list[Tensor]) -> Structure:
        """``flat`` in the form of ``structure``."""

    @abc.abstractmethod
    def input_structure(self, model: Model) -> Structure:
        """The inputs as they are passed in a call."""

    @abc.abstractmethod
    def output_structure(self, model: Model) -> Structure:
        """The outputs as a call returns them."""

    @abc.abstractmethod
    def is_float(self, tensor: Tensor) -> bool:
        """Whether a symbolic tensor is of floating point."""

    @abc.abstractmethod
    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """Products of matrices, the last two axes of symbolic tensors."""

    def check_model(self, model: Model) -> None:
        """Refuses what is no built functional or Sequential model of this framework.

        Raises:
          UnsupportedModelError: Says what was found and what to do.
        """
        name = self.keras.__name__
        if not isinstance(model, self.keras.Model):
            raise UnsupportedModelError(f"Expected a {name} model, got {type(model).__name__}.")
        if not self.is_functional(model):
            raise UnsupportedModelError(
                f"'{model.name}' is a subclassed model ({type(model).__name__}). Only Sequential "
                f"and functional models can be quantized: build it with {name}.Model(inputs, "
                "outputs)."
            )
        if overrides(model, "call"):
            raise UnsupportedModelError(
                f"'{model.name}' ({type(model).__name__}) overrides call, and what it computes "
                "there is in none of its layers. Move it into layers, and leave call to Keras."
            )
        if not self.is_built(model):
            raise UnsupportedModelError(
                f"'{model.name}' has no input shape yet. Start it with an Input layer, or call "
                "model.build(input_shape)."
            )
        for layer in model.layers:
            self._check_not_mixed(layer)

    def _check_not_mixed(self, layer: Layer) -> None:
        framework = self.keras.__name__
        for held in vars(layer).values():
            other = framework_of(held)
            if other not in (None, framework) and hasattr(held, "weights"):
                raise UnsupportedModelError(
                    f"Layer '{layer.name}' is a {framework} layer that holds "
                    f"'{getattr(held, 'name', type(held).__name__)}', which is of {other}. Their "
                    f"models do not mix: build all of it with `import {framework}`."
                )

    def consumers(self, model: Model) -> Consumers:
        """Who reads the outputs of the nodes of a model."""
        return Consumers(self.nodes_in_order(model), self.flatten(self.output_structure(model)))

    def flat_call(self, model: Model, inputs: Iterable[Tensor]) -> list[Tensor]:
        """Inference with a flat list of tensors in and out."""
        packed = self.pack(self.input_structure(model), list(inputs))
        return self.flatten(model(packed, training=False))

    def rebuild(
        self,
        model: Model,
        replace: Replace,
        on_input: Callable[[Tensor, str], Tensor] = lambda tensor, name: tensor,
    ) -> Model:
        """Builds a functional copy of a model with its nested models inlined.

        Args:
          model: Built Sequential or functional model.
          replace: Called once per layer (not per call of a shared layer, not for input layers);
            returns the new layers that stand for it, none to pass its input through.
          on_input: Gives the tensor that takes the place of an input in the graph, from the input
            and its name.
        """
        names = self.input_names(model)
        inputs = [
            self.keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
            for tensor, name in zip(model.inputs, names, strict=True)
        ]
        in_use = NamesInUse()

        def replace_checked(layer: Layer) -> list[Layer]:
            return in_use.checked(layer.name, replace(layer))

        with self.own_objects(model):
            sources = [on_input(tensor, name) for tensor, name in zip(inputs, names, strict=True)]
            for source, name in zip(sources, names, strict=True):
                in_use.checked(name, [source._keras_history[0]])
            outputs = self._run(model, sources, replace_checked, {})
        return self.keras.Model(
            self.pack(self.input_structure(model), inputs),
            outputs,
            name=scope_name(model.name, "model"),
        )

    def copy(
        self,
        model: Model,
        copy_layer: Callable[[Layer], Layer] = clone_layer,
        copy_weights: Callable[[Iterable[tuple[Layer, Layer]]], None] = copy_weights,
    ) -> Model:
        """A functional copy of a model, weights included, with its nested models inlined.

        Args:
          model: Built Sequential or functional model.
          copy_layer: Gives the layer that stands for one.
          copy_weights: Takes each layer with the one that stands for it, once they are built.
        """
        copies: list[tuple[Layer, Layer]] = []

        def replace(layer: Layer) -> list[Layer]:
            copies.append((layer, copy_layer(layer)))
            return [copies[-1][1]]

        copied = self.rebuild(model, replace)
        copy_weights(copies)
        return copied

    def without_class(self, model: Model) -> Model:
        """A functional model on the layers of another, without the class of a user."""
        return self.keras.Model(
            self.input_structure(model), self.output_structure(model), name=model.name
        )

    def own_objects(self, model: Model) -> AbstractContextManager[object]:
        """Context in which Keras knows the classes and functions of users that a model is made of,
        as it may not when it makes a layer of its configuration.
        """
        return self.keras.utils.custom_object_scope(own_objects(self.all_layers(model)))

    def all_layers(self, model: Model) -> list[Layer]:
        """The layers (and operations) of a model and of those nested in it, each once."""
        return [layer for layer, _ in self._layers_with_owner(model)]

    def _layers_with_owner(self, model: Model) -> list[tuple[Layer, str]]:
        """The layers, each with the name of the model that holds it, those of the model itself
        before those of models nested in it.
        """
        found: dict[int, tuple[Layer, str]] = {}
        nested = []
        for node in self.nodes_in_order(model):
            if node.is_input:
                continue
            if isinstance(node.layer, self.keras.Model):
                nested.append(node.layer)
            else:
                found[id(node.layer)] = node.layer, model.name
        for inner in nested:
            self.check_model(inner)
            for layer, owner in self._layers_with_owner(inner):
                found.setdefault(id(layer), (layer, owner))
        return list(found.values())

    def _run(
        self,
        model: Model,
        inputs: list[Tensor],
        replace: Replace,
        new_layers: dict[int, list[Layer]],
    ) -> Structure:
        """Applies the nodes of a model, and of the models nested in it, to new tensors."""
        tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for node in self.nodes_in_order(model):
            if node.is_input:
                continue
            args, kwargs = node.arguments(tensors)
            if isinstance(node.layer, self.keras.Model):
                self.check_model(node.layer)
                result = self._run(node.layer, self.flatten(args[0]), replace, new_layers)
            else:
                if id(node.layer) not in new_layers:
                    new_layers[id(node.layer)] = replace(node.layer)
                result = _apply(new_layers[id(node.layer)], args, kwargs)
            for old, new in zip(node.outputs, self.flatten(result), strict=True):
                tensors[id(old)] = new
        structure = self.output_structure(model)
        return self.pack(structure, [tensors[id(old)] for old in self.flatten(structure)])

    def inline_nested_models(self, model: Model) -> Model:
        """A functional copy of a model, weights included, without models inside.

        Layers keep their names as far as they are unique and TensorFlow takes them, see
        ``flat_names``.
        """
        names = flat_names(self._layers_with_owner(model), self.input_names(model))

        def clone(layer: Layer) -> Layer:
            name = names[id(layer)]
            renamed = {} if name == layer.name else {"name": name}
            return clone_layer(layer, with_scope_names, **renamed)

        return self.copy(model, clone)

    def as_float32(self, model: Model) -> Model:
        """A model that computes in float32: itself, or a copy of a model in mixed precision."""
        if not any("float16" in str(layer.compute_dtype) for layer in model.layers):
            return model
        return self.copy(model, lambda layer: clone_layer(layer, _without_mixed_precision))

    def unstored_layers(self, model: Model) -> set[str]:
        """Layers whose output TFLite never stores, as every call is fused with its reader."""
        consumers = self.consumers(model)
        fused: set[str] = set()
        stored: set[str] = set()
        for node in self.nodes_in_order(model):
            reader = consumers.only_reader(node)
            is_fused = reader is not None and not node.is_input and fuses(node.layer, reader.layer)
            (fused if is_fused else stored).add(node.layer.name)
        return fused - stored


def calls_of_layers(nodes: Iterable[Node]) -> dict[int, list[Node]]:
    """The calls of each layer, by id(layer)."""
    calls: dict[int, list[Node]] = {}
    for node in nodes:
        calls.setdefault(id(node.layer), []).append(node)
    return calls


def first_and_last(nodes: list[Node], names: set[str]) -> tuple[set[str], set[str]]:
    """Which of the layers called ``names`` have none of them before, and which none behind them."""
    not_first = _behind_another(nodes, names, lambda node: node.inputs, lambda node: node.outputs)
    not_last = _behind_another(
        nodes[::-1], names, lambda node: node.outputs, lambda node: node.inputs
    )
    return names - not_first, names - not_last


class Consumers:
    """Who reads the outputs of the nodes of a model."""

    def __init__(self, nodes: Iterable[Node], outputs: Iterable[Tensor]) -> None:
        self._readers: dict[int, list[Node]] = {}
        for node in nodes:
            for tensor in node.inputs:
                self._readers.setdefault(id(tensor), []).append(node)
        self._outputs = {id(tensor) for tensor in outputs}

    def only_reader(self, node: Node) -> Node | None:
        """The one node that reads the outputs of ``node``; None if there are more, or if an output
        of the model is among them.
        """
        if any(id(tensor) in self._outputs for tensor in node.outputs):
            return None
        readers = [
            reader for tensor in node.outputs for reader in self._readers.get(id(tensor), [])
        ]
        return readers[0] if len(readers) == 1 else None


def _apply(
    layers: list[Layer], args: tuple[Structure, ...], kwargs: dict[str, Structure]
) -> Structure:
    if not layers:
        return args[0]
    # Keras 3 notes mask=None for a layer that takes a mask; what stands for it may take none.
    given = {name: value for name, value in kwargs.items() if name != "mask" or value is not None}
    outputs = layers[0](*args, **given)
    for following in layers[1:]:
        outputs = following(outputs)
    return outputs


def _behind_another(
    nodes: list[Node],
    names: set[str],
    near: Callable[[Node], Iterable[Tensor]],
    far: Callable[[Node], Iterable[Tensor]],
) -> set[str]:
    """Those of ``names`` that a walk reaches after another one.

    The walk passes ``nodes`` in their order, entering each by its ``near`` tensors.
    """
    reached: set[int] = set()  # ids of the tensors behind a layer of ``names``
    behind: set[str] = set()
    for node in nodes:
        is_behind = any(id(tensor) in reached for tensor in near(node))
        is_named = node.layer.name in names
        if is_named and is_behind:
            behind.add(node.layer.name)
        if is_named or is_behind:
            reached.update(id(tensor) for tensor in far(node))
    return behind


def _without_mixed_precision(config: Any) -> Any:
    """A layer configuration with every dtype policy of lower precision replaced by float32."""
    if isinstance(config, dict):
        return {
            key: "float32"
            if key == "dtype" and "float16" in str(value)
            else _without_mixed_precision(value)
            for key, value in config.items()
        }
    return [*map(_without_mixed_precision, config)] if isinstance(config, list) else config


def check_weights(model: Model) -> None:
    """Refuses NaN and infinite weights.

    Raises:
      ValueError: Naming the weight.
    """
    for layer in model.layers:
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            check_finite(value, f"{layer.name}/{weight.name.rpartition('/')[2]}")
