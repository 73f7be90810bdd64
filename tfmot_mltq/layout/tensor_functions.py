"""What the layers of both frameworks call on the tensors and variables of theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tfmot_mltq.helpers.framework_types import ArrayNamespace, Tensor, Variable


@dataclasses.dataclass(frozen=True)
class TensorFunctions:
    """Functions of a framework.

    Attributes:
      array_namespace: Gives the NumPy-like namespace in which the mathematics runs.
      to_tensor: The value of a variable in a call.
      stop_gradient: A tensor as a constant.
      eager_value: The value of a variable, also while TensorFlow traces a call.
    """

    array_namespace: Callable[[], ArrayNamespace]
    to_tensor: Callable[[Variable], Tensor]
    stop_gradient: Callable[[Tensor], Tensor]
    eager_value: Callable[[Variable], np.ndarray]
