"""mltq.Interpreter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmot_mltq.runtime.litert import LiteRtRuntime
from tfmot_mltq.runtime.tensor_details import TensorDetails, read_details
from tfmot_mltq.runtime.tflm import TflmRuntime

RUNTIMES = ("tflm", "litert")


class Interpreter:
    """Runs a .tflite model on this machine, on the C operators that a microcontroller runs.

    Args:
      model: Bytes of the model, or a path.
      runtime: "tflm", the real TensorFlow Lite Micro, or "litert" with the operators as a delegate.
      reference_kernels: For "litert": the other operators run on its reference kernels instead of
        XNNPACK; the results are then TensorFlow Lite Micro's, byte for byte.

    Raises:
      ValueError: An argument is out of range, or the bytes are not a TFLite model.
      RuntimeUnavailableError: The runtime is not installed, or has no wheel for this platform.
      RuntimeError: The runtime refused the model; with its messages.
    """

    def __init__(
        self,
        model: bytes | str | os.PathLike[str],
        runtime: str = "tflm",
        *,
        reference_kernels: bool = False,
    ) -> None:
        if runtime not in RUNTIMES:
            raise ValueError(f"runtime must be one of {RUNTIMES}, got {runtime!r}.")
        if reference_kernels and runtime == "tflm":
            raise ValueError("reference_kernels is for runtime='litert'; tflm always runs them.")
        if not isinstance(model, (bytes, bytearray, memoryview)):
            with open(model, "rb") as file:
                model = file.read()
        details = read_details(bytes(model))
        self._inputs, self._outputs = details.inputs, details.outputs
        self._has_state = details.has_state
        self._runtime: Any
        if runtime == "tflm":
            self._runtime = TflmRuntime(bytes(model), details)
        else:
            self._runtime = LiteRtRuntime(bytes(model), details, reference_kernels)

    @property
    def input_details(self) -> list[TensorDetails]:
        """The inputs of the model."""
        return self._inputs

    @property
    def output_details(self) -> list[TensorDetails]:
        """The outputs of the model."""
        return self._outputs

    @property
    def arena_bytes(self) -> int:
        """RAM for tensors that TensorFlow Lite Micro takes, in bytes.

        Raises:
          AttributeError: The runtime is not "tflm".
        """
        if not isinstance(self._runtime, TflmRuntime):
            raise AttributeError("arena_bytes is known for runtime='tflm' only.")
        return self._runtime.arena_bytes()

    def invoke(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """One inference on the integers of the tensors.

        The state of recurrent layers carries over to the next call, as on a device: call
        ``reset`` where a new sequence begins.

        Args:
          *inputs: One array per input, with the dtype and shape of its tensor.

        Returns:
          The output tensors.

        Raises:
          ValueError: An input has another shape or dtype.
        """
        if len(inputs) != len(self._inputs):
            raise ValueError(f"The model has {len(self._inputs)} inputs, got {len(inputs)}.")
        for value, details in zip(inputs, self._inputs, strict=True):
            if value.shape != details.shape or value.dtype != details.dtype:
                raise ValueError(
                    f"Input '{details.name}' takes {details.dtype} of shape {details.shape}, got "
                    f"{value.dtype} of shape {value.shape}."
                )
        return self._runtime.run([np.ascontiguousarray(value) for value in inputs])

    def reset(self) -> None:
        """Forgets the state of recurrent layers, as before the first ``invoke``."""
        if self._has_state:
            self._runtime.reset()

    def predict(self, x: Any) -> Any:
        """Inference on a batch of samples, like ``keras.Model.predict``.

        Samples are independent of each other: the state of recurrent layers is reset before each.

        Args:
          x: Array with the batch first; a list of arrays (or a mapping of input name to array) for
            several inputs. Real values are quantized with the input's scale; an array that has the
            dtype of an integer input already is taken as it is.

        Returns:
          float32 array of real values with the batch first; a list of arrays for several outputs.

        Raises:
          ValueError: An input is missing or has another shape.
        """
        arrays = [
            self._prepare(array, details)
            for array, details in zip(self._as_list(x), self._inputs, strict=True)
        ]
        results: list[list[np.ndarray]] = [[] for _ in self._outputs]
        for sample in range(len(arrays[0])):
            self.reset()
            outputs = self._runtime.run(
                [
                    np.ascontiguousarray(array[sample : sample + 1]).reshape(details.shape)
                    for array, details in zip(arrays, self._inputs, strict=True)
                ]
            )
            for collected, value in zip(results, outputs, strict=True):
                collected.append(value)
        batches = [
            details.dequantize(np.concatenate(values))
            if values
            else np.empty((0, *details.shape[1:]), np.float32)
            for details, values in zip(self._outputs, results, strict=True)
        ]
        return batches[0] if len(batches) == 1 else batches

    def _as_list(self, x: Any) -> Sequence[Any]:
        if isinstance(x, Mapping):
            names = [details.name for details in self._inputs]
            if set(names) != set(x):
                raise ValueError(f"The inputs are {names}, got {sorted(x)}.")
            return [x[name] for name in names]
        arrays = list(x) if isinstance(x, (list, tuple)) and len(self._inputs) > 1 else [x]
        if len(arrays) != len(self._inputs):
            raise ValueError(f"The model has {len(self._inputs)} inputs, got {len(arrays)}.")
        return arrays

    @staticmethod
    def _prepare(x: Any, details: TensorDetails) -> np.ndarray:
        values = np.asarray(x)
        if values.shape[1:] != details.shape[1:]:
            wanted = ", ".join(map(str, details.shape[1:]))
            raise ValueError(
                f"Input '{details.name}' takes shape (batch, {wanted}), got {values.shape}."
            )
        if details.shape[0] != 1:
            raise ValueError(f"Input '{details.name}' has batch size {details.shape[0]}, not 1.")
        return values if values.dtype == details.dtype else details.quantize(values)
