"""How often the weights of a layer are used for one sample."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.graph import ModelGraphs


def output_positions(graphs: ModelGraphs, model: Model) -> dict[str, int]:
    """Output positions of each layer by name, summed over the calls of a shared layer.

    They are all axes between batch and channels; free sizes count as 1.
    """
    positions: dict[str, int] = {}
    for node in graphs.nodes_in_order(model):
        shape = node.outputs[0].shape[1:-1]
        used = int(np.prod([size or 1 for size in shape], dtype=np.int64))
        positions[node.layer.name] = positions.get(node.layer.name, 0) + used
    return positions
