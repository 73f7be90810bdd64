"""Functional tf_keras models as graphs: walking them, and building changed copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from tfmot_mltq.errors import UnsupportedModelError

# Turns a layer into the layers that replace it, applied one after the other.
Replace = Callable[[Any], list[Any]]


def check_model(model: Any) -> None:
    """Refuses what is no built functional or Sequential tf_keras model.

    Raises:
      UnsupportedModelError: Says what was found and what to do.
    """
    if not isinstance(model, tf_keras.Model):
        if type(model).__module__.partition(".")[0] == "keras" or _is_keras_3(model):
            raise UnsupportedModelError(
                "This is a Keras 3 model. This version quantizes tf_keras models: build the model "
                "with `import tf_keras as keras` (pip install tf-keras) and load your weights, or "
                "set the environment variable TF_USE_LEGACY_KERAS=1 before TensorFlow is imported, "
                "which makes tf.keras be tf_keras."
            )
        raise UnsupportedModelError(f"Expected a tf_keras model, got {type(model).__name__}.")
    if not isinstance(model, tf_keras.Sequential) and not model._is_graph_network:
        raise UnsupportedModelError(
            f"'{model.name}' is a subclassed model ({type(model).__name__}). Only Sequential and "
            "functional models can be quantized: build it with tf_keras.Model(inputs, outputs)."
        )
    if not model.built or not model._is_graph_network:
        raise UnsupportedModelError(
            f"'{model.name}' has no input shape yet. Start it with an Input layer, or call "
            "model.build(input_shape)."
        )


def _is_keras_3(model: Any) -> bool:
    return any(base.__module__.partition(".")[0] == "keras" for base in type(model).__mro__)


def op_function(layer: Any) -> str | None:
    """TensorFlow function that a layer made from a call such as `x + y` runs, for example
    "__operators__.add"; None for layers that were written as such.
    """
    return layer.get_config()["function"] if "OpLambda" in type(layer).__name__ else None


def nodes_in_order(model: Any) -> Iterator[Any]:
    """Call nodes of a functional model, producers before consumers."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def takes_one_tensor(node: Any) -> bool:
    """Whether TFMOT's wrappers, which pass one argument with tensors, can make this call.

    They cannot call functions such as `x + y`, and layers of several arguments such as attention.
    """
    if node.is_input:
        return True
    first = tf.nest.flatten(node.call_args[:1])
    return op_function(node.layer) is None and len(first) == len(node.keras_inputs)


def layers_tfmot_cannot_wrap(model: Any) -> set[str]:
    """Names of the layers with a call that TFMOT's wrappers cannot make."""
    return {node.layer.name for node in nodes_in_order(model) if not takes_one_tensor(node)}


class Consumers:
    """Who reads the outputs of the nodes of a model."""

    def __init__(self, model: Any) -> None:
        self._readers: dict[int, list[Any]] = {}
        for node in nodes_in_order(model):
            for tensor in node.keras_inputs:
                self._readers.setdefault(id(tensor), []).append(node)
        self._outputs = {id(tensor) for tensor in tf.nest.flatten(model.outputs)}

    def only_reader(self, node: Any) -> Any | None:
        """The one node that reads the outputs of ``node``; None if there are more, or if an output
        of the model is among them.
        """
        tensors = tf.nest.flatten(node.outputs)
        if any(id(tensor) in self._outputs for tensor in tensors):
            return None
        readers = [reader for tensor in tensors for reader in self._readers.get(id(tensor), [])]
        return readers[0] if len(readers) == 1 else None


class _Kept(list):
    """Lets Keras' Node.map_arguments, which pops, read a tensor any number of times."""

    def pop(self, *_: Any) -> Any:
        return self[0]


class _Rebuilder:
    """Applies the nodes of a model, and of the models nested in it, to new tensors."""

    def __init__(self, replace: Replace) -> None:
        self._replace = replace
        self._new_layers: dict[int, list[Any]] = {}

    def run(self, model: Any, inputs: list[Any]) -> Any:
        tensors: dict[str, _Kept] = {
            str(id(old)): _Kept([new])
            for old, new in zip(tf.nest.flatten(model.inputs), inputs, strict=True)
        }
        for node in nodes_in_order(model):
            if node.is_input:
                continue
            args, kwargs = node.map_arguments(tensors)
            outputs = self._call(node.layer, args, kwargs)
            for old, new in zip(
                tf.nest.flatten(node.outputs), tf.nest.flatten(outputs), strict=True
            ):
                tensors[str(id(old))] = _Kept([new])
        return tf.nest.map_structure(lambda tensor: tensors[str(id(tensor))][0], model.output)

    def _call(self, layer: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            check_model(layer)
            return self.run(layer, tf.nest.flatten(args[0]))
        if id(layer) not in self._new_layers:
            self._new_layers[id(layer)] = self._replace(layer)
        replacement = self._new_layers[id(layer)]
        if not replacement:
            return args[0]
        outputs = replacement[0](*args, **kwargs)
        for following in replacement[1:]:
            outputs = following(outputs)
        return outputs


def rebuild(
    model: Any,
    replace: Replace,
    on_input: Callable[[Any, str], Any] = lambda tensor, name: tensor,
) -> Any:
    """Builds a functional copy of a model with its nested models inlined.

    Args:
      model: Built Sequential or functional model.
      replace: Called once per layer (not per call of a shared layer, not for input layers);
        returns the new layers that stand for it, none to pass its input through.
      on_input: Gives the tensor that takes the place of an input in the graph, from the input
        and its name.
    """
    names = model.input_names
    inputs = [
        tf_keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
        for tensor, name in zip(tf.nest.flatten(model.inputs), names, strict=True)
    ]
    sources = [on_input(tensor, name) for tensor, name in zip(inputs, names, strict=True)]
    outputs = _Rebuilder(replace).run(model, sources)
    structure = inputs
    if not isinstance(model, tf_keras.Sequential):
        structure = tf.nest.pack_sequence_as(model.input, inputs)
    elif len(inputs) == 1:
        structure = inputs[0]
    return tf_keras.Model(structure, outputs, name=model.name)


def clone_layer(layer: Any, **changes: Any) -> Any:
    """A new layer of the same configuration, with ``changes`` applied to it; weights are not
    copied, the layer is not built.
    """
    return type(layer).from_config({**layer.get_config(), **changes})


def inline_nested_models(model: Any) -> Any:
    """A functional copy of a model, weights included, without models inside.

    A layer of a nested model keeps its name where that is unique, and is else prefixed with the
    name of the model that holds it.
    """
    taken: set[str] = set(model.input_names)
    owners = _owners(model)
    copies: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> list[Any]:
        name = layer.name
        if name in taken:
            name = f"{owners[id(layer)]}_{name}"
        if name in taken:
            raise UnsupportedModelError(
                f"Two layers are called '{layer.name}'. Give the layers of nested models names of "
                "their own."
            )
        taken.add(name)
        copy = clone_layer(layer, name=name)
        copies.append((layer, copy))
        return [copy]

    flat = rebuild(model, clone)
    for layer, copy in copies:
        copy.set_weights(layer.get_weights())
    return flat


def _owners(model: Any) -> dict[int, str]:
    owners: dict[int, str] = {}
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            check_model(layer)
            owners.update(_owners(layer))
        else:
            owners[id(layer)] = model.name
    return owners
