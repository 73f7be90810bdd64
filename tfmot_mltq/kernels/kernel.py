"""What a kernel is: the twin of a ``MltqKernel`` in tflite_ops/core.

A plan says how the C code cuts a layer into steps. Tests hold the scratch of each equal to what the
C code asks for, and which layers it takes.
"""

from __future__ import annotations

import abc

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.plane_counts import PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.format import OperatorKind

# Which C code a target has: plain C, the DSP instructions of Cortex-M, or Helium.
VARIANTS = ("portable", "dsp", "helium")

INDEX_BYTES = 2


class Kernel(abc.ABC):
    """A family of kernels: one constant in C.

    Attributes:
      name: Of the constant.
      files: Of tflite_ops/core, that it is in.
      kinds: Operators whose layers it takes.
      planes: How their planes may be stored.
      title: What users read.
      costs: Name of its costs in coefficients.json.
    """

    name: str
    files: tuple[str, ...]
    kinds: frozenset[OperatorKind]
    planes: Planes
    title: str
    costs: str

    def takes(self, kind: OperatorKind, planes: Planes) -> bool:
        """Whether it takes layers of an operator with such planes, unless they are too large."""
        return kind in self.kinds and bool(self.planes & planes)

    @abc.abstractmethod
    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """Scratch of a call; None where the layer is too large for it.

        Args:
          call: Layer and sizes.
          counts: What its planes hold.
          variant: One of ``VARIANTS``.
        """

    @abc.abstractmethod
    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """What it has to do for a layer that it takes, counted by kind of work; None where there is
        no prediction. The instructions of the layer are a sum of these counts, each times what one
        costs on a target.
        """


def mapping(call: Call, inputs: float) -> dict[str, float]:
    """Work of activations that are looked up, and of building their table."""
    mapped = inputs if call.activation_levels else 0
    return {"mapped": mapped, "map_entries": 256 * call.activation_levels}
