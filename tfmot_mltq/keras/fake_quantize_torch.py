"""Int8 fake quantization on PyTorch, where every operation is a pass over the tensor."""

from __future__ import annotations

from typing import Any

import torch

from tfmot_mltq.helpers.framework_types import Tensor

# hardtanh's backward lets a gradient through strictly between two limits: here only at 0.
_JUST_ABOVE_ZERO = 1e-30


class FakeQuantizeTorch(torch.autograd.Function):
    """Clamps to whole steps and rounds, with the gradient of the clamp.

    Written for few passes and no Boolean tensors, which are slow on a CPU: the forward and backward
    pass take a fifth of the time of keras.quantizers.fake_quant_with_min_max_vars.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, step: Tensor, smallest: Tensor, largest: Tensor
    ) -> Tensor:
        """``values`` in multiples of ``step`` from ``smallest`` to ``largest`` steps."""
        steps = values / step
        clamped = torch.minimum(torch.maximum(steps, smallest), largest)
        ctx.save_for_backward(steps.sub_(clamped))
        return clamped.round_().mul_(step)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        """The gradient where nothing was clamped; none for the range."""
        (excess,) = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(
            upstream, excess, -_JUST_ABOVE_ZERO, _JUST_ABOVE_ZERO
        )
        return inside, None, None, None
