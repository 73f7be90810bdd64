"""Which Keras an object belongs to, and the adapter that serves it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from tfmot_mltq.errors import UnsupportedModelError

if TYPE_CHECKING:
    from tfmot_mltq.layout.adapter import Adapter

# Top-level package of each framework: (adapter, packages it needs, extra that installs them).
FRAMEWORKS = {
    "keras": ("tfmot_mltq.keras.adapter", ("keras",), "keras"),
    "tf_keras": (
        "tfmot_mltq.tfmot.adapter",
        ("tensorflow", "tf_keras", "tensorflow_model_optimization"),
        "tfmot",
    ),
}


def framework_of(value: object) -> str | None:
    """Name of the framework whose class, or a class derived from it, made ``value``; else None."""
    for base in type(value).__mro__:
        root = base.__module__.partition(".")[0]
        if root in FRAMEWORKS:
            return root
    return None


def adapter_of(value: object, expected: str = "model") -> Adapter:
    """The adapter for a model or layer; the framework of ``value`` is the only one it imports.

    Raises:
      UnsupportedModelError: ``value`` is of no Keras class.
      ImportError: A package that the adapter needs is missing.
    """
    framework = framework_of(value)
    if framework is None:
        raise UnsupportedModelError(
            f"Expected a Keras or tf_keras {expected}, got {type(value).__name__}."
        )
    module, packages, extra = FRAMEWORKS[framework]
    return import_with_extra(module, packages, extra, f"A {framework} {expected}").ADAPTER


def import_with_extra(
    module: str, packages: tuple[str, ...], extra: str, feature: str
) -> ModuleType:
    """Imports a module of ours whose dependencies are an extra.

    Raises:
      ImportError: One of ``packages`` is missing; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name in packages:
            raise ImportError(
                f"{feature} needs {', '.join(packages)} ('{error.name}' is missing): "
                f"pip install 'tfmot-mltq[{extra}]'",
                name=error.name,
            ) from error
        raise
