"""The compiled C operators."""

from __future__ import annotations

import ctypes
import functools
import importlib.util

import numpy as np

from tfmot_mltq.errors import RuntimeUnavailableError
from tfmot_mltq.packing.format import OperatorKind


def library_path() -> str:
    """Path of the shared library.

    Raises:
      RuntimeUnavailableError: The package was not built.
    """
    spec = importlib.util.find_spec("tfmot_mltq.runtime._mltq_ops")
    if spec is None or spec.origin is None:
        raise RuntimeUnavailableError(
            "The C operators are not compiled. Install the package with pip (pip install . or "
            "pip install -e .) on a machine with a C compiler (Debian, Ubuntu: apt-get install "
            "build-essential)."
        )
    return spec.origin


@functools.cache
def load_library() -> ctypes.CDLL:
    """The library, visible to the whole process, where TensorFlow Lite Micro looks for it."""
    library = ctypes.CDLL(library_path(), mode=ctypes.RTLD_GLOBAL)
    library.MltqRunLayer.restype = ctypes.c_int
    library.MltqStatusMessage.restype = ctypes.c_char_p
    return library


def run_packed_layer(
    packed: bytes,
    kind: OperatorKind,
    x: np.ndarray,
    output_shape: tuple[int, ...],
    *,
    reference: bool = False,
) -> np.ndarray:
    """Runs one packed layer on the C core, without an interpreter.

    Args:
      packed: Bytes of the packed layer.
      kind: Operator.
      x: int8 input with the shape of the tensor.
      output_shape: Shape of the output tensor.
      reference: Takes the reference kernels instead of the optimised ones.

    Raises:
      ValueError: The core refused the bytes or the shapes; with its message.
    """
    library = load_library()
    x = np.ascontiguousarray(x, np.int8)
    output = np.empty(output_shape, np.int8)
    # A copy of exactly these bytes, so that a read past the end is one out of bounds.
    data = (ctypes.c_uint8 * len(packed)).from_buffer_copy(packed)
    status = library.MltqRunLayer(
        data,
        ctypes.c_size_t(len(packed)),
        ctypes.c_uint8(kind),
        (ctypes.c_int * x.ndim)(*x.shape),
        x.ndim,
        (ctypes.c_int * output.ndim)(*output.shape),
        output.ndim,
        x.ctypes.data_as(ctypes.c_void_p),
        output.ctypes.data_as(ctypes.c_void_p),
        int(reference),
    )
    if status != 0:
        raise ValueError(library.MltqStatusMessage(status).decode())
    return output
