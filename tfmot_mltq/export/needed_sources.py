"""Which C sources a model needs: code that it would not run takes no flash."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

from tfmot_mltq.cost_model.tflite_operators import TfliteOperator
from tfmot_mltq.helpers.c_sources import c_sources
from tfmot_mltq.kernels import KERNELS, Kernel, kernel_of
from tfmot_mltq.kernels.kernel import VARIANTS

_TABLE = "mltq_kernels.c"
_PLANES_READ = "mltq_planes_read.h"
# Operators without planes: a kernel, and checks that only the adapters of interpreters make.
_WITHOUT_PLANES = ("mltq_lookup", "mltq_normalization", "mltq_tensor", "mltq_status_text")
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


def kernels_of(operator: TfliteOperator) -> list[Kernel]:
    """The kernel that one of our operators runs on, with each variant of the C code."""
    call, counts = operator.call, operator.counts
    if call is None or counts is None:
        return []
    return [kernel_of(call, counts, variant) for variant in VARIANTS]


def needed_kernels(operators: Iterable[TfliteOperator]) -> list[Kernel]:
    """The kernels that a model runs on, on any target, in their order."""
    used = {kernel for operator in operators for kernel in kernels_of(operator)}
    return [kernel for kernel in KERNELS if kernel in used]


def needed_core(
    operators: Iterable[TfliteOperator], functions: Iterable[str] | None = None
) -> list[pathlib.Path]:
    """The core, with the kernels that the model runs on; without what ``model_sources`` writes.

    Args:
      operators: Of the model.
      functions: What generated code calls; None where an interpreter calls.
    """
    needed = needed_kernels(operators)
    without = {file for kernel in KERNELS if kernel not in needed for file in kernel.files}
    without |= {_TABLE, _PLANES_READ}
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


def model_sources(operators: Sequence[TfliteOperator]) -> dict[str, str]:
    """Files of the core that are written for a model: the table of the kernels that it runs on, and
    how its planes are stored.
    """
    return {f"core/{_TABLE}": _table(operators), f"core/{_PLANES_READ}": _planes_read(operators)}


def _planes_read(operators: Iterable[TfliteOperator]) -> str:
    ways = {operator.counts.planes for operator in operators if operator.counts is not None}
    flags = " | ".join(f"MLTQ_PLANES_{way.name}" for way in sorted(ways)) or "0u"
    guard = "MLTQ_PLANES_READ_H_"
    return (
        f"#ifndef {guard}\n#define {guard}\n\n"
        '#include "mltq_layer.h"\n\n'
        "/* How the planes of this model are stored. */\n"
        f"#define MLTQ_PLANES_READ ({flags})\n\n#endif\n"
    )


def _table(operators: Iterable[TfliteOperator]) -> str:
    names = [kernel.name for kernel in needed_kernels(operators)]
    lines = [
        '#include "mltq_kernels.h"\n\n#include <stddef.h>\n\n',
        "/* The kernels that the layers of this model run on. */\n\n",
        *(f"extern const MltqKernel {name};\n" for name in names),
        "\nconst MltqKernel* const mltq_kernels[] = {\n",
        *(f"    &{name},\n" for name in names),
        "    NULL,\n};\n",
    ]
    return "".join(lines)


def needed_stock(functions: Iterable[str]) -> list[pathlib.Path]:
    """The stock operators that generated code calls."""
    names = {f"{_STOCK_FILES.get(function, function)}.c" for function in functions}
    return [path for path in c_sources("stock") if path.suffix == ".h" or path.name in names]
