"""Which C sources a model needs: code that it would not run takes no flash."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

from tfmot_mltq.c_sources import c_sources
from tfmot_mltq.packing.format import BITWISE_ENCODINGS, Kind
from tfmot_mltq.report.tflite_operators import TfliteOperator

_BITWISE_KERNEL = "mltq_bit_planes_s8.c"
_KERNELS = {kind: f"mltq_{kind.name.lower()}_s8.c" for kind in Kind}
# The convolution of Cortex-M with Helium defines the same functions.
_HELIUM_KERNEL = "mltq_conv_2d_s8_helium.c"
# Operators without planes: a kernel, and checks that only the adapters of interpreters make.
_WITHOUT_PLANES = ("mltq_lookup", "mltq_normalization")
_TABLE = "mltq_kernels.c"
_REFERENCE_KERNELS = ("mltq_conv_2d_reference", "mltq_fully_connected_reference")
# Functions that share a file with others; all else is in the file of its name.
_STOCK_FILES = {
    "mltq_stock_average_pool_2d_s8": "mltq_stock_pool_2d_s8",
    "mltq_stock_max_pool_2d_s8": "mltq_stock_pool_2d_s8",
    "mltq_stock_sub_s8": "mltq_stock_add_broadcast_s8",
    "mltq_stock_minimum_s8": "mltq_stock_maximum_s8",
    "mltq_stock_sum_s8": "mltq_stock_reduce_s8",
    "mltq_stock_reduce_max_s8": "mltq_stock_reduce_s8",
    "mltq_stock_reduce_min_s8": "mltq_stock_reduce_s8",
    "mltq_stock_fill_s8": "mltq_stock_copy_s8",
    "mltq_stock_resize_nearest_neighbor_s8": "mltq_stock_resize_s8",
    "mltq_stock_resize_bilinear_s8": "mltq_stock_resize_s8",
    "mltq_stock_dequantize_s8": "mltq_stock_quantize_s8",
}


def needed_core(
    operators: Iterable[TfliteOperator], functions: Iterable[str] | None = None
) -> list[pathlib.Path]:
    """The core, with the kernels that the model's layers run on; without their table.

    Args:
      operators: Of the model.
      functions: What generated code calls; None where an interpreter calls.
    """
    without = {_TABLE, *_KERNELS.values(), _BITWISE_KERNEL} - _used(operators)
    if _KERNELS[Kind.CONV_2D] in without:
        without.add(_HELIUM_KERNEL)
    if functions is not None:
        called = {*functions}
        without |= {
            path.name
            for path in c_sources("core")
            if path.suffix == ".c"
            and path.stem.startswith(_WITHOUT_PLANES)
            and path.stem not in called
        }
    return [path for path in c_sources("core") if path.name not in without]


def kernel_table(operators: Iterable[TfliteOperator]) -> dict[str, str]:
    """The table of the kernels that the model's layers run on, as a file of the core."""
    names = sorted(name.removesuffix(".c") for name in _used(operators))
    names += _REFERENCE_KERNELS
    lines = [
        '#include "mltq_kernels.h"\n\n#include <stddef.h>\n\n',
        "/* The kernels that the layers of this model run on. */\n\n",
        *(f"extern const MltqKernel {name};\n" for name in names),
        "\nconst MltqKernel* const mltq_kernels[] = {\n",
        *(f"    &{name},\n" for name in names),
        "    NULL,\n};\n",
    ]
    return {f"core/{_TABLE}": "".join(lines)}


def _used(operators: Iterable[TfliteOperator]) -> set[str]:
    return {_kernel(operator) for operator in operators if operator.layer is not None}


def _kernel(operator: TfliteOperator) -> str:
    assert operator.layer is not None
    if set(operator.encodings) & set(BITWISE_ENCODINGS):
        return _BITWISE_KERNEL
    return _KERNELS[operator.layer.geometry.kind]


def needed_stock(functions: Iterable[str]) -> list[pathlib.Path]:
    """The stock operators that generated code calls."""
    names = {f"{_STOCK_FILES.get(function, function)}.c" for function in functions}
    return [path for path in c_sources("stock") if path.suffix == ".h" or path.name in names]
