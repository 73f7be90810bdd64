"""Representative datasets: the forms users pass, as checked batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

_FORMS = (
    "a NumPy array of samples, a function that yields one list of arrays per step (TFLite's form), "
    "or an iterable such as a tf.data.Dataset of inputs"
)
_ARRAY_BATCH = 32


def batches(
    dataset: Any, input_names: Sequence[str], input_shapes: Sequence[tuple[int | None, ...]]
) -> Iterator[list[np.ndarray]]:
    """Yields float32 batches, one array per model input, in the order of the inputs.

    Args:
      dataset: One of the forms that the error message lists. An item is an array (one input), a
        sequence of arrays or a mapping of input name to array; all with a batch dimension.
      input_names: Names of the model inputs.
      input_shapes: Their shapes, batch dimension first; None matches any size.

    Raises:
      TypeError: The dataset or an item of it has another form.
      ValueError: An item has another shape than the model's input, holds NaN, or nothing came.
    """
    count = 0
    for item in _items(dataset):
        arrays = _as_list(item, input_names)
        if len(arrays) != len(input_names):
            raise ValueError(
                f"The representative dataset gave {len(arrays)} arrays; the model has "
                f"{len(input_names)} inputs: {', '.join(input_names)}."
            )
        yield [
            _checked(array, name, shape)
            for array, name, shape in zip(arrays, input_names, input_shapes, strict=True)
        ]
        count += 1
    if count == 0:
        raise ValueError("The representative dataset is empty.")


def _items(dataset: Any) -> Iterable[Any]:
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
    if isinstance(item, (list, tuple)):
        return list(item)
    return [item]


def _checked(array: Any, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    try:
        values = np.asarray(array, np.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Input '{name}' of the representative dataset is of type {type(array).__name__}, "
            f"which is no array of numbers: {error}"
        ) from error
    fits = values.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(values.shape[1:], shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape[1:])
        raise ValueError(
            f"Input '{name}' of the representative dataset has shape {values.shape}; the model "
            f"wants (batch, {wanted})."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"Input '{name}' of the representative dataset holds NaN or infinity.")
    return values
