"""Reading the weights of layers from files."""

from __future__ import annotations

from collections.abc import Mapping

from tfmot_mltq.helpers.framework_types import Variable, WeightStore


def load_named_weights(
    layer_name: str, weights: Mapping[str, Variable], store: WeightStore
) -> None:
    """Assigns what a file holds for a layer to its weights.

    Args:
      layer_name: For the message.
      weights: Variables by the names that they have in the file.
      store: What Keras passes to ``load_own_variables``.

    Raises:
      ValueError: The file has other weights.
    """
    if set(weights) != set(store.keys()):
        raise ValueError(
            f"Layer '{layer_name}' has the weights {sorted(weights)}, the file has "
            f"{sorted(store.keys())}. Was it saved by another version of tfmot_mltq?"
        )
    for name, weight in weights.items():
        weight.assign(store[name])
