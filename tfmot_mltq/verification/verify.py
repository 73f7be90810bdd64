"""The check at the end of a conversion: the runtimes against the quantized Keras model."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence

import numpy as np

from tfmot_mltq.errors import ConversionError, RuntimeUnavailableError
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.runtime.interpreter import Interpreter
from tfmot_mltq.runtime.tensor_details import TensorDetails
from tfmot_mltq.verification.operator_errors import OperatorError, operator_errors

# Of the largest difference of an output to the range of its values on the samples, and of the root
# mean square of the differences to the standard deviation of the values. Rounding adds up to 0.2 in
# networks of 120 layers with random weights; a wrong scale gives 0.3 and more.
DEFAULT_TOLERANCE = 0.25
# What rounding may always do, in steps of the output: at most, and as a root mean square.
_ROUNDING_STEPS = 4
_ROUNDING_RMS_STEPS = 1.5
_SAMPLES = 8
_LEAST_SAMPLES = 2
# Differences of real values of the same int8 value.
_NOISE_STEPS = 1e-3
# Share of the samples that may be of another class, where that is no tie in the Keras model.
_OTHER_CLASSES = 0.1
# Twice what rounding may do: to the one value, and to the other.
_TIE_STEPS = 2 * _ROUNDING_STEPS
# A fault is an operator whose output is that bad and so much worse than all before it, in dB.
_FAULTY_SNR, _FAULTY_FALL = 18.0, 8.0
# An operator at which the two part.
_PARTING_STEPS = 8
_PARTING_SNR = 25.0


def verify(
    model: Model,
    adapter: Adapter,
    tflite: bytes,
    samples: Sequence[np.ndarray] | None,
    *,
    runtime: str,
    tolerance: float | None,
    seconds: float,
) -> None:
    """Runs samples through a converted model, and refuses it if it computes something else.

    Args:
      model: The quantized Keras model.
      adapter: Of its framework.
      tflite: What it was converted to.
      samples: Real inputs, one array for each with the batch first; None takes random ones from
        the ranges of the inputs.
      runtime: "tflm" runs both runtimes, as far as they are installed; "litert" that one.
      tolerance: Largest difference of an output, as a share of the range of its values, and largest
        root mean square of the differences, as a share of the standard deviation. None takes the
        default, and only warns where the error grows step by step, as rounding does.
      seconds: Samples are left out that would take longer; two are run in any case.

    Raises:
      ConversionError: A runtime refuses the model, or the outputs differ too much, or are the same
        for all samples; names the operator and the layer.
    """
    end = time.monotonic() + seconds
    litert = Interpreter(tflite, "litert")
    is_given = samples is not None
    if samples is None:
        samples = _random_inputs(litert.input_details)
    samples = [_spread(array) for array in samples]
    expected = _keras_outputs(model, adapter, samples)
    if is_given:
        _check_not_constant(model, adapter, expected, litert)
    runs = [("litert", litert)]
    if runtime == "tflm":
        with contextlib.suppress(RuntimeUnavailableError):  # x86-64 Linux alone has it
            runs.insert(0, ("tflm", Interpreter(tflite, "tflm")))
    errors: list[OperatorError] = []
    for name, interpreter in runs:
        try:
            found = _run(interpreter, samples, end)
        except RuntimeError as error:
            raise ConversionError(
                f"The converted model does not run on {name}: {error} Replace the layer"
                + (", or pass runtime='litert'." if name == "tflm" else ".")
            ) from error
        for details, want, have in zip(interpreter.output_details, expected, found, strict=True):
            problem = _difference(
                details,
                want[: len(have)],
                have,
                DEFAULT_TOLERANCE if tolerance is None else tolerance,
            )
            if problem:
                # They take long; on the second runtime the operators are the same.
                if not errors:
                    few = [array[:_LEAST_SAMPLES] for array in samples]
                    errors = operator_errors(model, adapter, tflite, few, name)
                is_fault = _has_a_fault(errors) and not _cuts_activations(model, adapter)
                if tolerance is None and not is_fault:
                    warnings.warn(
                        f"The network is sensitive to rounding: {problem} on {name}. No single "
                        "operator is at fault: the error grows step by step, or where activations "
                        "are cut into levels. The converted model's accuracy may differ from the "
                        "Keras model's: measure it with mltq.Interpreter. Trained networks, and "
                        "those with more levels, are less sensitive.",
                        stacklevel=3,
                    )
                    continue
                raise ConversionError(
                    "The converted model does not compute what the quantized Keras model computes: "
                    f"{problem} on {name}. {_where(errors)} Pass verify=False to convert it "
                    "anyway; mltq.debug lists the errors of all operators. If the model should "
                    "work, please report it."
                )


def check_tolerance(tolerance: float | None) -> None:
    """Raises ValueError if a tolerance is not a non-negative number."""
    if tolerance is None:
        return
    is_number = isinstance(tolerance, (int, float)) and not isinstance(tolerance, bool)
    if not is_number or not 0 <= tolerance < np.inf:
        raise ValueError(
            "tolerance must be 0 or more, such as 0.1 for a tenth of an output's range, got "
            f"{tolerance!r}."
        )


def _spread(samples: np.ndarray) -> np.ndarray:
    """Some of the samples, from all over: they may be sorted by class."""
    picked = np.linspace(0, len(samples) - 1, min(_SAMPLES, len(samples)))
    return samples[np.unique(picked.round().astype(int))]


def _random_inputs(inputs: Sequence[TensorDetails]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = []
    for details in inputs:
        shape = (_SAMPLES, *details.shape[1:])
        if details.dtype == np.int8 and details.scale:
            arrays.append(details.dequantize(rng.integers(-128, 128, shape, dtype=np.int8)))
        else:
            # Numbers of an embedding, of which not even the range is known.
            arrays.append(rng.integers(0, 2, shape).astype(details.dtype))
    return arrays


def _keras_outputs(
    model: Model, adapter: Adapter, samples: Sequence[np.ndarray]
) -> list[np.ndarray]:
    outputs = adapter.graphs.flat_call(model, adapter.as_inputs(model, samples))
    return [np.asarray(adapter.to_numpy(output), np.float32) for output in outputs]


def _run(interpreter: Interpreter, samples: Sequence[np.ndarray], end: float) -> list[np.ndarray]:
    collected: list[list[np.ndarray]] = []
    for number in range(len(samples[0])):
        if number >= _LEAST_SAMPLES and time.monotonic() > end:
            break
        sample = [array[number : number + 1] for array in samples]
        outputs = interpreter.predict(sample if len(sample) > 1 else sample[0])
        collected.append(outputs if isinstance(outputs, list) else [outputs])
    return [np.concatenate(values) for values in zip(*collected, strict=True)]


def _check_not_constant(
    model: Model, adapter: Adapter, expected: Sequence[np.ndarray], interpreter: Interpreter
) -> None:
    """Refuses a model with a dead output: no comparison could find a fault in it.

    Samples of one class may all give the same certain answer, so random inputs decide.
    """
    if not any((want == want[:1]).all() for want in expected):
        return
    others = _keras_outputs(model, adapter, _random_inputs(interpreter.input_details))
    for details, want, other in zip(interpreter.output_details, expected, others, strict=True):
        if (want == want[:1]).all() and (other == want[:1]).all():
            raise ConversionError(
                f"The output '{details.name}' of the quantized Keras model is the same for all "
                f"{len(want)} samples and for random inputs, so that the conversion cannot be "
                "verified. If that is intended, pass verify=False. Otherwise check that the "
                "samples differ, and look for weights that are all zero, for dead activations, "
                "and for small values that are concatenated or compared (minimum, maximum) with "
                "large ones and share their quantization steps: a Rescaling layer before that "
                "helps."
            )


def _difference(
    details: TensorDetails, want: np.ndarray, have: np.ndarray, tolerance: float
) -> str | None:
    """What is wrong with an output; None if nothing is."""
    want, have = want.astype(np.float64), have.reshape(want.shape).astype(np.float64)
    difference = np.abs(have - want)
    difference[difference < _NOISE_STEPS * details.scale] = 0
    span, deviation = float(want.max() - want.min()), float(want.std())
    largest, rms = float(difference.max()), float(np.sqrt(np.square(difference).mean()))
    step = details.scale if tolerance > 0 else 0.0
    is_near = largest <= max(tolerance * span, _ROUNDING_STEPS * step)
    if not (is_near and rms <= max(tolerance * deviation, _ROUNDING_RMS_STEPS * step)):
        steps = f" ({largest / details.scale:.0f} steps of 255)" if details.scale else ""
        return (
            f"the output '{details.name}' is off by up to {largest:.4g}{steps}, "
            f"{largest / span if span else 1:.0%} of its range, and in root mean square by "
            f"{rms / deviation if deviation else 1:.0%} of its standard deviation, on {len(want)} "
            f"samples (tolerance {tolerance:.0%})"
        )
    if want.ndim == 2 and want.shape[1] > 1:
        rows = np.arange(len(want))
        margins = want.max(1) - want[rows, have.argmax(1)]
        others = int((margins > max(_TIE_STEPS * step, 1e-6)).sum())
        if others > max(1, _OTHER_CLASSES * len(want)):
            return (
                f"the output '{details.name}' gives {others} of {len(want)} samples another class"
            )
    return None


def _has_a_fault(errors: Sequence[OperatorError]) -> bool:
    """Whether the error jumps at an operator. Rounding adds a few dB from one to the next."""
    lowest = float("inf")
    for error in errors:
        if error.snr is None:
            continue
        if error.snr < _FAULTY_SNR and lowest - error.snr > _FAULTY_FALL:
            return True
        lowest = min(lowest, error.snr)
    return False


def _cuts_activations(model: Model, adapter: Adapter) -> bool:
    """Whether activations have levels: a step before a threshold is a level after it, and so
    errors jump where nothing is wrong.
    """
    return any(adapter.activation_levels(layer) is not None for layer in model.layers)


def _where(errors: Sequence[OperatorError]) -> str:
    compared = [error for error in errors if error.snr is not None]
    if not compared:
        return "No operator could be compared with a layer."
    parting = [error for error in compared if _parts(error)]
    worst = parting[0] if parting else min(compared, key=_ratio)
    unit = " steps" if worst.scale else ""
    return (
        f"The first operator where the two differ is number {worst.number}, {worst.op} "
        f"'{worst.tensor}', of layer '{worst.layer}': off by up to {worst.largest:.4g}{unit}, "
        f"{worst.snr:.1f} dB. Replace that layer."
    )


def _ratio(error: OperatorError) -> float:
    assert error.snr is not None
    return error.snr


def _parts(error: OperatorError) -> bool:
    assert error.largest is not None
    return _ratio(error) < _PARTING_SNR and (error.largest > _PARTING_STEPS or not error.scale)
