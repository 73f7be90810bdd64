"""The NumPy-like namespace in which the mathematics runs on the backend."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import keras

from tfmot_mltq.helpers.framework_types import ArrayNamespace


@functools.cache
def array_namespace() -> ArrayNamespace:
    """keras.ops, or on PyTorch the same functions without Keras' checks.

    PyTorch runs operation by operation, and a kernel of a microcontroller's network is so small
    that the checks of keras.ops take longer than the arithmetic.
    """
    if keras.backend.backend() != "torch":
        return keras.ops
    import torch

    return SimpleNamespace(
        abs=torch.abs,
        arange=torch.arange,
        cumsum=torch.cumsum,
        exp2=torch.exp2,
        floor=torch.floor,
        log2=torch.log2,
        matmul=torch.matmul,
        max=lambda x, axis=None, keepdims=False: (
            torch.amax(x) if axis is None else torch.amax(x, axis, keepdim=keepdims)
        ),
        maximum=torch.maximum,
        mean=lambda x, axis, keepdims: torch.mean(x, axis, keepdim=keepdims),
        min=torch.amin,
        minimum=torch.minimum,
        ones_like=torch.ones_like,
        reshape=torch.reshape,
        sign=torch.sign,
        sort=lambda x, axis: torch.sort(x, axis).values,
        stack=torch.stack,
        sum=lambda x, axis, keepdims=False: torch.sum(x, axis, keepdim=keepdims),
        tanh=torch.tanh,
        where=torch.where,
        zeros_like=torch.zeros_like,
    )
