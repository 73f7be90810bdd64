"""Names of layers: unique in a model, and such that TensorFlow can run it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer

# What TensorFlow refuses in the names of scopes and operations, and as their first character.
_NOT_IN_SCOPES = re.compile(r"[^A-Za-z0-9_./>-]")
_NOT_FIRST = re.compile(r"[^A-Za-z0-9.]")


def scope_name(name: str, prefix: str = "layer") -> str:
    """A name without accents, and with underscores for what TensorFlow does not take in one.

    Args:
      name: Of a layer or model.
      prefix: Put in front of a name whose first character cannot begin one.
    """
    decomposed = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    found = _NOT_IN_SCOPES.sub("_", plain)
    return f"{prefix}{found}" if _NOT_FIRST.match(found) else found


def with_scope_names(config: Any) -> Any:
    """The configuration of a layer with such names for the layers that it wraps."""
    if isinstance(config, list):
        return [*map(with_scope_names, config)]
    if not isinstance(config, dict):
        return config
    found = {key: with_scope_names(value) for key, value in config.items()}
    inner = found.get("config")
    if "class_name" in found and isinstance(inner, dict) and isinstance(inner.get("name"), str):
        found["config"] = {**inner, "name": scope_name(inner["name"])}
    return found


def flat_names(layers: Iterable[tuple[Layer, str]], taken: Iterable[str]) -> dict[int, str]:
    """Names for the layers of a model and of those nested in it, by the id of the layer.

    The first of several layers of one name keeps it, the next ones have the name of the model that
    holds them in front, and a number after it if that is in use, too.

    Args:
      layers: Layers, each with the name of the model that holds it.
      taken: Names that are in use already.
    """
    layers = list(layers)
    # A name that is made up must not take that of a layer which comes later.
    wanted = {scope_name(layer.name) for layer, _ in layers}
    used = set(taken)
    names: dict[int, str] = {}
    for layer, owner in layers:
        name = scope_name(layer.name)
        if name in used:
            name = f"{scope_name(owner)}_{name}"
            stem, count = name, 1
            while name in used or name in wanted:
                name, count = f"{stem}_{count}", count + 1
        used.add(name)
        names[id(layer)] = name
    return names


class NamesInUse:
    """The names of the layers of a copy of a model, while it is made."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[Layer, str]] = {}

    def checked(self, source: str, made: list[Layer]) -> list[Layer]:
        """Layers that stand for a layer or input of the model.

        Raises:
          UnsupportedModelError: Another layer has the name of one of them.
        """
        for part in made:
            layer: Layer = getattr(part, "func", part)  # of one that is called with bound arguments
            holder, of = self._holders.setdefault(layer.name, (layer, source))
            if holder is not layer:
                raise UnsupportedModelError(
                    f"Two layers would be called '{layer.name}': one that stands for '{of}', and "
                    f"one that stands for '{source}'. Rename one of the two in your model."
                )
        return made
