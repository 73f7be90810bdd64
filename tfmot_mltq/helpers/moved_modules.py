"""Modules that once lay at the root of the package: imports by their old names go on."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

_FOLDERS = {
    "mathematics": ("activation_levels", "decomposition", "int8_simulation", "lstm_simulation"),
    "helpers": ("c_sources", "flatbuffer", "representative_dataset", "simulation_mode"),
    "layout": ("frameworks",),
}
MOVED = {
    f"tfmot_mltq.{name}": f"tfmot_mltq.{folder}.{name}"
    for folder, names in _FOLDERS.items()
    for name in names
}


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        name = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {name} now.", DeprecationWarning, stacklevel=2)
        self._module = importlib.import_module(name)
        self._spec = self._module.__spec__
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """It has run. Importing has put its old name into it."""
        module.__spec__ = self._spec


class MovedModules(importlib.abc.MetaPathFinder):
    """Finds a module by its old name; it is the one of the new name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Python's hook."""
        if fullname not in MOVED:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Loader())


def register() -> None:
    """From now on they are found."""
    sys.meta_path.append(MovedModules())
