"""mltq.convert."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np

from tfmot_mltq import calibration
from tfmot_mltq.converter import rewrite
from tfmot_mltq.converter.check_for_tflm import check_inputs, check_loads, check_operators
from tfmot_mltq.converter.folded_layer import folded_layers
from tfmot_mltq.converter.match import filter_operators, match
from tfmot_mltq.converter.recurrent import check_recurrent, recurrent_layers
from tfmot_mltq.converter.rewrite_elementwise import rewrite_elementwise
from tfmot_mltq.converter.rewrite_for_tflm import quantize_byte_inputs, rewrite_for_tflm
from tfmot_mltq.converter.rewrite_lstm import rewrite_lstm
from tfmot_mltq.converter.rewrite_normalization import rewrite_normalization
from tfmot_mltq.cost_model.choose_encodings import (
    DEFAULT_TARGET,
    check_optimize,
    choose_encodings,
)
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.helpers.framework_types import Dataset, Layer, Model
from tfmot_mltq.helpers.kept_samples import KeptSamples
from tfmot_mltq.kernels import Call
from tfmot_mltq.layout.frameworks import adapter_of, import_with_extra
from tfmot_mltq.packing.encodings import check_code
from tfmot_mltq.pruning.missed_sparsity import warn_of_missed_sparsity
from tfmot_mltq.quantize import check_quantized
from tfmot_mltq.verification.verify import check_tolerance
from tfmot_mltq.verification.verify import verify as verify_conversion

# Of the representative dataset: for ranges that only TensorFlow's converter finds, and to verify.
_KEPT_SAMPLES = 100
# Of the time of the conversion.
_VERIFICATION_SHARE = 0.2


def convert(
    model: Model,
    representative_dataset: Dataset = None,
    *,
    optimize: str = "size",
    target: str = DEFAULT_TARGET,
    encoding: int | None = None,
    max_scratch_bytes: int | None = None,
    runtime: str = "tflm",
    verify: bool = True,
    tolerance: float | None = None,
) -> bytes:
    """Writes a quantized model as a .tflite whose layers run on the MLTQ operators.

    Everything else is TensorFlow's own int8 conversion: inputs and outputs are int8, the batch size
    is 1.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned, trained or not.
      representative_dataset: A few hundred typical inputs, for the int8 ranges of a model that was
        not trained after ``quantize_model``; see ``calibrate``, which is called with it. A model
        that has its ranges keeps them, and only the form of the dataset is checked.
      optimize: What the encoding of each level of each layer is chosen for: "size", the fewest
        bytes; "speed", the fewest instructions; "balanced", the smallest product of both. See
        docs/cost_model.md.
      target: Microcontroller whose instructions count, for example "cortex-m4", "rv32imc" or
        "xtensa". Files run on all of them.
      encoding: Forces the encoding of all planes: 0 for dense trits, 2 to 32 for the gap codes
        to a machine word, 61 for byte indices, which only fully connected layers may have, 62 for
        sign bits, 63 for bit planes, which the bitwise kernel takes; see docs/packed_format.md.
      max_scratch_bytes: Refuse a model with a layer that needs more scratch on the target. Scratch
        is part of the arena.
      runtime: "tflm" for a file that runs on TensorFlow Lite Micro, and on LiteRT; "litert" for one
        that may have operators which TensorFlow Lite Micro lacks.
      verify: Run some samples, of the representative dataset or random ones, through the result and
        through the model, and refuse a result that differs.
      tolerance: What ``verify`` allows: the largest difference of an output, as a share of the
        range of its values on the samples, and the root mean square of the differences, as a share
        of their standard deviation. Four steps of an output are always allowed, unless it is 0.
        None allows 0.25, and more with a warning where the error grows step by step, as rounding
        does in deep networks with random weights.

    Returns:
      The bytes of the .tflite file.

    Raises:
      UnsupportedModelError: The model is not quantized by this package.
      TypeError, ValueError: The dataset has a wrong form, shape or content, or is missing; or
        there is no such encoding, choice or target.
      ConversionError: A quantized layer could not be found in TensorFlow's result, does not fit
        the operators, or needs more than ``max_scratch_bytes``; no layer is silently left in
        int8. Or Keras does not run on its TensorFlow backend.
      ImportError: TensorFlow is missing.
    """
    start = time.monotonic()
    adapter = adapter_of(model)
    check_quantized(model, adapter)
    check_tolerance(tolerance)
    if runtime not in ("tflm", "litert"):
        raise ValueError(f"runtime must be 'tflm' or 'litert', got {runtime!r}.")
    if encoding is not None:
        check_code(encoding)
    check_optimize(optimize, target)
    warn_of_missed_sparsity(model, adapter)
    adapter.check_convertible(model)
    stock_int8 = import_with_extra(
        "tfmot_mltq.converter.stock_int8", ("tensorflow",), "tensorflow", "mltq.convert"
    ).stock_int8
    kept = KeptSamples(_KEPT_SAMPLES)
    if representative_dataset is not None:
        batches = calibration.batches(model, adapter, representative_dataset)
        if calibration.is_calibrated(model, adapter):
            kept.fill(batches)
        else:
            calibration.set_ranges(model, adapter, kept.watch(batches))
    elif not calibration.is_calibrated(model, adapter):
        raise ValueError(
            "The model has no int8 activation ranges yet: it was not trained after "
            "quantize_model. Pass representative_dataset, a few hundred typical inputs."
        )

    def choose(call: Call, planes: np.ndarray) -> list[int]:
        return choose_encodings(call, planes, optimize, target, encoding, max_scratch_bytes)

    check_recurrent(model, adapter)
    layers = folded_layers(model, adapter)
    simulated = adapter.graphs.as_float32(model)
    lstms = recurrent_layers(simulated, adapter)
    stock = _int8_operators(stock_int8(simulated, adapter), lstms, round_inside=True)
    if rewrite.float_operators(stock) and kept.arrays is not None:
        with contextlib.suppress(ConversionError):  # TensorFlow cannot calibrate all operators
            content = stock_int8(simulated, adapter, kept.arrays)
            stock = _int8_operators(content, lstms, round_inside=False)
    if runtime == "tflm":
        rewrite_for_tflm(stock)
    rewrite.replace_operators(stock, match(layers, filter_operators(stock)), choose)
    flatbuffer.name_interface(stock, adapter.graphs.input_names(model))
    flatbuffer.drop_unused(stock)
    flatbuffer.shorten_names(stock)
    if runtime == "tflm":
        check_operators(stock)
    check_inputs(stock)
    _warn_of_float(rewrite.float_operators(stock), kept.arrays is not None)
    tflite = flatbuffer.save(stock)
    if runtime == "tflm":
        check_loads(tflite)
    if verify:
        verify_conversion(
            simulated,
            adapter,
            tflite,
            kept.arrays,
            runtime=runtime,
            tolerance=tolerance,
            seconds=_VERIFICATION_SHARE * (time.monotonic() - start),
        )
    return tflite


def _int8_operators(tflite: bytes, lstms: Collection[Layer], round_inside: bool) -> Any:
    """The objects of a model, each normalisation and elementwise function one operator."""
    stock = flatbuffer.load(tflite)
    quantize_byte_inputs(stock)
    rewrite_lstm(stock, lstms)
    rewrite_normalization(stock, round_inside)
    rewrite_elementwise(stock, round_inside)
    return stock


def _warn_of_float(operators: Collection[str], has_samples: bool) -> None:
    if not operators:
        return
    why = (
        "TFLite has no int8 form for some operators, which stay float"
        if has_samples
        else "The model has no ranges for tensors inside some layers, so that operators stay "
        "float. Pass representative_dataset to quantize those that TFLite has an int8 form for"
    )
    warnings.warn(f"{why}: {', '.join(operators)}", stacklevel=3)
