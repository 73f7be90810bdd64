"""Models of classes that users derived from Keras' functional model: a copy is to be one, too."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmot_mltq.errors import first_line
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.frameworks import FRAMEWORKS, framework_of

if TYPE_CHECKING:
    from tfmot_mltq.layout.graph import ModelGraphs

# Methods that make or save a model, rather than train it.
_CONSTRUCTION = frozenset({"build", "call", "compute_output_shape", "from_config", "get_config"})

_OURS = ("tfmot_mltq", "tensorflow_model_optimization")


def user_classes(value: object) -> list[type]:
    """The classes that users derived from a class of Keras and that made a model or layer, the
    most specific first.
    """
    derived = itertools.takewhile(lambda cls: _root(cls) not in FRAMEWORKS, type(value).__mro__)
    return [cls for cls in derived if _root(cls) not in _OURS]


def _root(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def overrides(value: object, method: str) -> bool:
    """Whether a class of a user defines a method of a model or layer, and not Keras."""
    definer = next((cls for cls in type(value).__mro__ if method in vars(cls)), None)
    return definer in user_classes(value)


def own_behaviour(model: Model) -> list[str]:
    """Names of the methods and properties by which a user's class differs from Keras' model."""
    found = {
        name: None
        for cls in user_classes(model)
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and name not in _CONSTRUCTION
        and (callable(value) or isinstance(value, (property, classmethod, staticmethod)))
    }
    return list(found)


def with_class_of(model: Model, result: Model, graphs: ModelGraphs) -> Model:
    """A functional model as one of the class of another model, on the same layers.

    Args:
      model: Where the class comes from.
      result: A functional model that was made of ``model``.
      graphs: Of their framework.

    Returns:
      ``result`` itself where ``model`` is plain, and, with a warning, where its class cannot be
      built from inputs and outputs, as Keras' own functional models are.
    """
    if not user_classes(model):
        return result
    try:
        kept = _construct(type(model), result, graphs)
    except Exception as error:  # whatever the constructor of a user raises
        lost = own_behaviour(model)
        if lost:
            cause = first_line(error)
            warnings.warn(
                f"{', '.join(lost)} of class {type(model).__name__} {_is(lost)} not kept: "
                f"{type(model).__name__}(inputs, outputs, name) does not give a model with these "
                f"outputs ({type(error).__name__}: {cause}). The result is a plain functional "
                "model. Give the class a constructor that takes inputs and outputs and passes them "
                f"on to {graphs.keras.__name__}.Model, or train in a loop of your own.",
                stacklevel=3,
            )
        return result
    _copy_attributes(model, kept, result, graphs)
    return kept


def warn_of_unused(model: Model, user: str) -> None:
    """Warns of methods of a user's class that are not called while ``user`` trains the model."""
    unused = [name for name in own_behaviour(model) if name.endswith("_step") or "loss" in name]
    if unused:
        warnings.warn(
            f"{', '.join(unused)} of class {type(model).__name__} {_is(unused)} not used: {user} "
            "has its own training step. Train the model without it, or add the loss of "
            "distillation to your class.",
            stacklevel=3,
        )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _construct(cls: type[Model], result: Model, graphs: ModelGraphs) -> Model:
    """A model of ``cls`` with the inputs, outputs and name of ``result``.

    Raises:
      Exception: The constructor takes other arguments, or does something else with them.
    """
    inputs, outputs = graphs.input_structure(result), graphs.output_structure(result)
    signature = inspect.signature(cls.__init__)
    forms: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        ((), {"inputs": inputs, "outputs": outputs, "name": result.name}),
        ((inputs, outputs), {"name": result.name}),
        ((inputs, outputs), {}),
    )
    for args, kwargs in forms:
        with contextlib.suppress(TypeError):
            signature.bind(None, *args, **kwargs)
            break
    kept = cls(*args, **kwargs)
    found = graphs.flatten(graphs.output_structure(kept)) if graphs.is_functional(kept) else []
    if list(map(id, found)) != list(map(id, graphs.flatten(outputs))):
        raise ValueError("its constructor changes them")
    return kept


def _copy_attributes(model: Model, kept: Model, plain: Model, graphs: ModelGraphs) -> None:
    """Gives ``kept`` the attributes that a user set on ``model``.

    What holds weights stays what the constructor made, as the two models must not share it.
    """
    reference = graphs.without_class(plain)
    reference.compile()
    missing = []
    for name, value in vars(model).items():
        if hasattr(reference, name) or name == "history":
            continue
        parts = graphs.flatten(value)
        if any(isinstance(part, graphs.keras.optimizers.Optimizer) for part in parts):
            continue  # set by a compile of the user's, as it will be again
        if any(hasattr(part, "assign") or hasattr(part, "weights") for part in parts):
            if isinstance(value, graphs.keras.metrics.Metric):
                if not hasattr(kept, name):
                    setattr(kept, name, type(value).from_config(value.get_config()))
            elif not hasattr(kept, name) and not name.startswith("_"):
                missing.append(name)
        elif not any(framework_of(part) for part in parts) or not hasattr(kept, name):
            setattr(kept, name, _untracked(value))
    if missing:
        warnings.warn(
            f"{', '.join(missing)} of '{model.name}' ({type(model).__name__}) hold weights and "
            "are not set by its constructor, so the result lacks them. Set them on it before "
            "training.",
            stacklevel=4,
        )


def _untracked(value: Any) -> Any:
    """A list, dict or other value without the wrapper in which Keras tracks it."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return list(value)
    return value.copy() if isinstance(value, np.ndarray) else value
