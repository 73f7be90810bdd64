"""LiteRT (TensorFlow Lite) with the C operators as an external delegate."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.helpers.native_output import capture_stderr
from tfmot_mltq.runtime.operator_library import library_path
from tfmot_mltq.runtime.tensor_details import ModelDetails


class LiteRtRuntime:
    """One model in LiteRT.

    Args:
      tflite: The model.
      details: Its inputs and outputs.
      reference_kernels: Run the other operators on LiteRT's reference kernels; otherwise on its
        optimised ones (XNNPACK), which may differ by one step. The reference kernels give the bytes
        of TensorFlow Lite Micro, except int8 FULLY_CONNECTED, which LiteRT rounds in double
        precision: that one the delegate runs in TensorFlow Lite Micro's arithmetic.

    Raises:
      RuntimeError: LiteRT refused the model; with its messages.
    """

    def __init__(self, tflite: bytes, details: ModelDetails, reference_kernels: bool) -> None:
        from ai_edge_litert import interpreter as litert

        resolver = litert.OpResolverType
        self._outputs = len(details.outputs)
        options = {"tflm_fully_connected": "1"} if reference_kernels else {}
        with capture_stderr() as messages:
            try:
                self._interpreter = litert.Interpreter(
                    model_content=tflite,
                    num_threads=1,
                    experimental_delegates=[litert.load_delegate(library_path(), options)],
                    experimental_op_resolver_type=(
                        resolver.BUILTIN_REF if reference_kernels else resolver.AUTO
                    ),
                )
                self._interpreter.allocate_tensors()
                error = None
            except (RuntimeError, ValueError) as caught:
                error = caught
        if error is not None:
            raise RuntimeError(f"{error} {messages.text.strip()}") from error
        self._input_indices = [item["index"] for item in self._interpreter.get_input_details()]
        self._output_indices = [item["index"] for item in self._interpreter.get_output_details()]

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """One inference on integer tensors with the shapes of the model."""
        for index, value in zip(self._input_indices, inputs, strict=True):
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def reset(self) -> None:
        """Sets the variables of the model, such as the state of an LSTM, to zero."""
        self._interpreter.reset_all_variables()
