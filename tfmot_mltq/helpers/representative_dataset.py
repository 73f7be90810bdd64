"""Representative datasets: the forms users pass, as checked batches."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfmot_mltq.helpers.framework_types import Dataset, Model

_FORMS = (
    "a NumPy array of samples, a function that yields one list of arrays per step (TFLite's form), "
    "or an iterable such as a tf.data.Dataset of inputs"
)
_ARRAY_BATCH = 32
_FEW_SAMPLES = 8
_NO_LABELS = (
    "It must hold inputs only: drop the labels, in a tf.data.Dataset with "
    "dataset.map(lambda x, y: x)."
)


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """What a model takes at one of its inputs.

    Attributes:
      name: Of the input.
      shape: Batch dimension first; None matches any size.
      dtype: What values are given as: an integer type or bool as the input has it, else float32.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


def input_specs(model: Model, names: Sequence[str]) -> list[InputSpec]:
    """The inputs of a Keras model with the given names.

    Raises:
      ValueError: An input takes no numbers.
    """
    return [
        InputSpec(name, tuple(tensor.shape), _numpy_dtype(tensor.dtype, name))
        for tensor, name in zip(model.inputs, names, strict=True)
    ]


def _numpy_dtype(dtype: Any, name: str) -> np.dtype[Any]:
    text = getattr(dtype, "name", dtype)
    if "float" in text:
        return np.dtype(np.float32)
    if "int" in text or text == "bool":
        return np.dtype(text)
    raise ValueError(f"Input '{name}' of the model is of type {text}, which is not numeric.")


def batches(dataset: Dataset, specs: Sequence[InputSpec]) -> Iterator[list[np.ndarray]]:
    """Yields batches, one array per model input, in the order of the inputs.

    Args:
      dataset: One of the forms that the error message lists. An item is an array (one input), a
        sequence of arrays or a mapping of input name to array; all with a batch dimension.
      specs: The inputs of the model.

    Raises:
      TypeError: The dataset or an item of it has another form.
      ValueError: An item has another shape than the model's input, holds NaN or numbers that the
        type of the input does not have, or nothing came.
    """
    is_empty = True
    names = [spec.name for spec in specs]
    for item in _items(dataset):
        arrays = _as_list(item, names)
        if len(arrays) != len(specs):
            raise ValueError(
                f"The representative dataset gave {len(arrays)} arrays; the model has "
                f"{len(specs)} inputs: {', '.join(names)}."
                + (f" {_NO_LABELS}" if len(arrays) > len(specs) else "")
            )
        batch = [_checked(array, spec) for array, spec in zip(arrays, specs, strict=True)]
        sizes = [len(values) for values in batch]
        if len(set(sizes)) > 1:
            raise ValueError(
                "A step of the representative dataset has different numbers of samples: "
                + ", ".join(f"{size} of '{name}'" for size, name in zip(sizes, names, strict=True))
                + "."
            )
        if sizes[0]:
            is_empty = False
            yield batch
    if is_empty:
        raise ValueError("The representative dataset is empty.")


def warn_if_few(found: Iterable[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
    """Batches as they are; warns at their end if they were too few samples for a range."""
    samples = 0
    for batch in found:
        samples += len(batch[0])
        yield batch
    if samples < _FEW_SAMPLES:
        warnings.warn(
            f"The representative dataset has only {samples} "
            f"{'sample' if samples == 1 else 'samples'}. Values outside the ranges seen on it "
            "are clipped: pass a few hundred typical ones.",
            stacklevel=4,
        )


def _items(dataset: Dataset) -> Iterable[Any]:
    if isinstance(dataset, np.ndarray):
        if dataset.ndim == 0:
            raise TypeError(f"The representative dataset is a scalar; pass {_FORMS}.")
        return (dataset[i : i + _ARRAY_BATCH] for i in range(0, len(dataset), _ARRAY_BATCH))
    if callable(dataset):
        dataset = dataset()
    if isinstance(dataset, (str, bytes, Mapping)) or not isinstance(dataset, Iterable):
        raise TypeError(
            f"The representative dataset is of type {type(dataset).__name__}; pass {_FORMS}."
        )
    return dataset


def _as_list(item: Any, input_names: Sequence[str]) -> list[Any]:
    if isinstance(item, Mapping):
        missing = set(input_names) - set(item)
        if missing:
            raise ValueError(
                f"A step of the representative dataset lacks the inputs {sorted(missing)}."
            )
        return [item[name] for name in input_names]
    if isinstance(item, tuple) and any(isinstance(part, (tuple, Mapping)) for part in item):
        raise ValueError(
            f"A step of the representative dataset is a tuple with inputs in it. {_NO_LABELS}"
        )
    if isinstance(item, (list, tuple)):
        return list(item)
    return [item]


def _checked(array: Any, spec: InputSpec) -> np.ndarray:
    values = _numbers(array, spec)
    fits = values.ndim == len(spec.shape) and all(
        want is None or have == want
        for have, want in zip(values.shape[1:], spec.shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in spec.shape[1:])
        raise ValueError(
            f"Input '{spec.name}' of the representative dataset has shape {values.shape}; the "
            f"model takes (batch, {wanted}).{_shape_hint(values.shape, spec.shape)}"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(
            f"Input '{spec.name}' of the representative dataset holds NaN or infinity."
        )
    if values.dtype != spec.dtype:
        _check_representable(values, spec)
    return values.astype(spec.dtype)


def _numbers(array: Any, spec: InputSpec) -> np.ndarray:
    try:
        values = np.asarray(array)
        if values.dtype.kind in "USc":
            raise TypeError(f"its values are of type {values.dtype}")
        if values.dtype.kind not in "biuf":  # such as bfloat16, and lists of arrays
            values = values.astype(np.float32)
        return values.astype(np.float32) if spec.dtype.kind == "f" else values
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Input '{spec.name}' of the representative dataset is of type "
            f"{type(array).__name__}, which is not an array of numbers: {error}"
        ) from error


def _shape_hint(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    if len(found) == len(wanted) - 1 and all(
        want is None or have == want for have, want in zip(found, wanted[1:], strict=True)
    ):
        return " Give a single sample a batch dimension: sample[None]."
    return f" {_NO_LABELS}" if 0 < len(found) < min(len(wanted), 3) else ""


def _check_representable(values: np.ndarray, spec: InputSpec) -> None:
    """Refuses values that would be others in the integer type of an input."""
    with np.errstate(invalid="ignore"):  # of floats that are too large for it
        converted = values.astype(spec.dtype)
    wrong = values[converted != values]
    if wrong.size:
        raise ValueError(
            f"Input '{spec.name}' of the representative dataset holds {wrong.flat[0]}, but the "
            f"model takes {spec.dtype} there. Pass the values as the model takes them, not scaled."
        )
