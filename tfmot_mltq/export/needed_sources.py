"""Which C sources a model needs: code that it would not run takes no flash."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

from tfmot_mltq.c_sources import c_folder, c_sources
from tfmot_mltq.packing.format import BITWISE_ENCODINGS, LOOKUP_OP_NAME, Kind
from tfmot_mltq.report.tflite_operators import TfliteOperator

_BITWISE_KERNEL = "mltq_bit_planes_s8.c"
_KERNELS = {kind: f"mltq_{kind.name.lower()}_s8.c" for kind in Kind}
# The convolution of Cortex-M with Helium defines the same functions.
_HELIUM_KERNEL = "mltq_conv_2d_s8_helium.c"
_LOOKUP_SOURCES = {"mltq_lookup_s8.c", "mltq_lookup_shape.c"}
_LEFT_OUT_HEADER = "mltq_left_out.h"
_STOCK_FILES = {"average_pool_2d": "pool_2d", "max_pool_2d": "pool_2d"}


def needed_core(operators: Sequence[TfliteOperator]) -> list[pathlib.Path]:
    """The core, with the optimised kernels of the model's layers. Those of the others come
    from left_out/ and take no layer.
    """
    used = {_kernel(operator) for operator in operators if operator.layer is not None}
    left_out = {*_KERNELS.values(), _BITWISE_KERNEL} - used
    without = {*left_out, _HELIUM_KERNEL} if _KERNELS[Kind.CONV_2D] in left_out else {*left_out}
    if all(operator.op != LOOKUP_OP_NAME for operator in operators):
        without |= _LOOKUP_SOURCES
    core = [path for path in c_sources("core") if path.name not in without]
    folder = c_folder("left_out")
    return core + [folder / _LEFT_OUT_HEADER, *(folder / name for name in sorted(left_out))]


def _kernel(operator: TfliteOperator) -> str:
    assert operator.layer is not None
    if set(operator.encodings) & set(BITWISE_ENCODINGS):
        return _BITWISE_KERNEL
    return _KERNELS[operator.layer.geometry.kind]


def needed_stock(ops: Iterable[str]) -> list[pathlib.Path]:
    """The stock operators of a model's steps."""
    names = {f"mltq_stock_{_STOCK_FILES.get(op, op)}_s8.c" for op in ops}
    return [path for path in c_sources("stock") if path.suffix == ".h" or path.name in names]
