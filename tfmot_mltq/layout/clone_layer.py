"""New layers like those of a model, without the risks of reading Python code from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tfmot_mltq.errors import UnsupportedModelError, first_line
from tfmot_mltq.helpers.framework_types import Config, Layer
from tfmot_mltq.layout.layer_kinds import is_a
from tfmot_mltq.layout.user_class import user_classes

# Arguments of a Lambda layer, and the attributes that hold them.
_LAMBDA = {
    "function": "function",
    "output_shape": "_output_shape",
    "mask": "mask",
    "arguments": "arguments",
}


def clone_layer(layer: Layer, edit: Callable[[Config], Config] = dict, **changes: Any) -> Layer:
    """A new layer of the same configuration; weights are not copied, the layer is not built.

    Args:
      layer: Layer, or operation of Keras 3.
      edit: Turns the configuration into that of the copy.
      **changes: Entries of the configuration that are different in the copy.

    Raises:
      UnsupportedModelError: The configuration of the layer does not make such a layer.
    """
    if is_a(layer, ("Lambda",)):
        # Its configuration holds the byte code of the function, which loses the variables that it
        # uses, and which Keras does not run. The copy calls the function itself.
        cls = getattr(layer, "plain_class", type(layer))
        return cls(**{**edit(lambda_config(layer)), **changes})
    _check_functions(layer)
    try:
        return type(layer).from_config({**edit(layer.get_config()), **changes})
    except UnsupportedModelError:
        raise
    except Exception as error:  # get_config and from_config of users raise anything
        kind = type(layer).__name__
        raise UnsupportedModelError(
            f"Layer '{layer.name}' cannot be copied: {kind}.from_config(layer.get_config()) failed "
            f"({type(error).__name__}: {first_line(error)}). {_way_out(layer, kind)}"
        ) from error


def _way_out(layer: Layer, kind: str) -> str:
    if user_classes(layer):
        return f"Give {kind} a get_config that returns all arguments of its constructor."
    return (
        "If one of its arguments is a custom function or class, register it with "
        "keras.saving.register_keras_serializable."
    )


def _check_functions(layer: Layer) -> None:
    """Refuses functions without a name where Keras would copy their byte code."""
    for held in (layer, *_wrapped(layer)):
        if getattr(getattr(held, "activation", None), "__name__", "") == "<lambda>":
            raise UnsupportedModelError(
                f"The activation of layer '{layer.name}' is a lambda, which Keras cannot copy. "
                "Make it a named function, or add a Lambda layer after this one."
            )
        if held is not layer and is_a(held, ("Lambda",)):
            raise UnsupportedModelError(
                f"Layer '{layer.name}' ({type(layer).__name__}) wraps a Lambda layer, which Keras "
                "cannot copy. Use the Lambda layer itself, or write a layer class."
            )


def lambda_config(layer: Layer) -> Config:
    """The arguments of a Lambda layer's constructor, with its functions as they are."""
    base: type[Layer] = next(cls for cls in type(layer).__mro__ if cls.__name__ == "Layer")
    arguments = {name: getattr(layer, attribute) for name, attribute in _LAMBDA.items()}
    return {**base.get_config(layer), **arguments}


def own_objects(layers: Iterable[Layer]) -> dict[str, Any]:
    """The classes and activation functions of users among layers and what they wrap, by name."""
    found: dict[str, Any] = {}
    for layer in layers:
        for held in (layer, *_wrapped(layer)):
            for cls in user_classes(held)[:1]:
                found[cls.__name__] = cls
            activation = getattr(held, "activation", None)
            name = getattr(activation, "__name__", "<lambda>")
            if name != "<lambda>" and _is_users(activation):
                found[name] = activation
    return found


def _wrapped(layer: Layer) -> Iterator[Layer]:
    """The layers that wrappers such as TimeDistributed and RNN hold, the innermost last."""
    while (layer := getattr(layer, "layer", None) or getattr(layer, "cell", None)) is not None:
        yield layer


def _is_users(function: object) -> bool:
    root = (getattr(function, "__module__", None) or "").partition(".")[0]
    return root not in ("keras", "tf_keras", "tensorflow", "tfmot_mltq")


def copy_weights(copies: Iterable[tuple[Layer, Layer]]) -> None:
    """Copies the weights of layers to built copies of the same configuration.

    Raises:
      UnsupportedModelError: The weights of a copy have other shapes.
    """
    for layer, copy in copies:
        if not getattr(layer, "weights", None):  # operations of Keras 3 have none
            continue
        shapes, wanted = ([tuple(w.shape) for w in held.weights] for held in (copy, layer))
        if shapes != wanted:
            raise UnsupportedModelError(
                f"Layer '{layer.name}' has weights of the shapes {wanted}, but a copy of it "
                f"has {shapes}. {_way_out(layer, type(layer).__name__)}"
            )
        copy.set_weights(layer.get_weights())
