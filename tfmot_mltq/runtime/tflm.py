"""TensorFlow Lite Micro, the real interpreter of the tflite-micro wheel, with the C operators."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import re
import sys
import types
from typing import Any

import numpy as np

from tfmot_mltq.errors import RuntimeUnavailableError
from tfmot_mltq.helpers.native_output import capture_stderr
from tfmot_mltq.runtime.operator_library import load_library
from tfmot_mltq.runtime.tensor_details import ModelDetails

_REGISTERER = "MltqRegisterTflmPythonOps"
_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def _import_tflm() -> Any:
    name = "tflite_micro"
    spec = importlib.util.find_spec(name)
    shell = None
    if spec is not None and name not in sys.modules:
        # Importing the package itself runs its command-line tools, which define absl flags as
        # common as --output and so collide with the caller's. Only its interpreter is wanted.
        shell = types.ModuleType(name)
        shell.__path__ = list(spec.submodule_search_locations or ())
        sys.modules[name] = shell
    try:
        runtime = importlib.import_module(f"{name}.python.{name}.runtime")
    except ImportError as error:
        raise RuntimeUnavailableError(
            "TensorFlow Lite Micro's Python package is missing. Its wheels are for x86-64 Linux "
            "and Python 3.10 to 3.13: pip install 'tfmot-mltq[tflm]'. On other machines use "
            "runtime='litert', which runs the same C operators."
        ) from error
    finally:
        if shell is not None:
            del sys.modules[name]
    return runtime


class TflmRuntime:
    """One model in TensorFlow Lite Micro.

    Raises:
      RuntimeUnavailableError: The package is missing, or is a version whose structures differ.
      RuntimeError: TensorFlow Lite Micro refused the model; with its messages.
    """

    def __init__(self, tflite: bytes, details: ModelDetails) -> None:
        runtime = _import_tflm()
        load_library()
        self._outputs = len(details.outputs)
        with capture_stderr() as messages, contextlib.redirect_stdout(io.StringIO()):
            try:
                self._interpreter = runtime.Interpreter.from_bytes(
                    tflite, custom_op_registerers=[_REGISTERER], arena_size=details.arena_bound
                )
                error = None
            except RuntimeError as caught:
                error = caught
        if error is not None:
            if "could not register custom op" in str(error):
                raise RuntimeUnavailableError(
                    "The installed tflite-micro stores its operators differently from the version "
                    "that this package is built for: pip install 'tfmot-mltq[tflm]'."
                ) from error
            raise RuntimeError(f"{error}. {messages.text.strip()}") from error

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """One inference on integer tensors with the shapes of the model."""
        for index, value in enumerate(inputs):
            self._interpreter.set_input(value, index)
        self._interpreter.invoke()
        return [self._interpreter.get_output(index) for index in range(self._outputs)]

    def reset(self) -> None:
        """Sets the variables of the model, such as the state of an LSTM, to zero."""
        self._interpreter.reset()

    def arena_bytes(self) -> int:
        """Arena that the model takes, as TensorFlow Lite Micro reports it."""
        with capture_stderr() as messages:
            self._interpreter.print_allocations()
        found = _ARENA_TOTAL.search(messages.text)
        if found is None:
            raise RuntimeError(f"TensorFlow Lite Micro reported no arena: {messages.text!r}")
        return int(found[1])
