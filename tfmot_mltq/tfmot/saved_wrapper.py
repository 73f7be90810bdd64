"""Saving and reading the weights of layers that wrap another."""

from __future__ import annotations

from tfmot_mltq.helpers.framework_types import Layer, LayerBase, Variable, WeightStore
from tfmot_mltq.helpers.saved_weights import load_named_weights


def local_name(weight: Variable) -> str:
    """`kernel` for `conv2d_1/kernel:0`."""
    return weight.name.partition(":")[0].rpartition("/")[2]


def wrapped_layer(layer: Layer) -> Layer:
    """The layer inside a wrapper; any other layer as it is."""
    return layer.layer if isinstance(layer, SavedWrapper) else layer


class SavedWrapper(LayerBase):
    """Mixin of TFMOT's wrappers, so that they can be saved as .keras.

    TFMOT's store a kernel twice when the wrapped layer was built before the wrapper and once when
    it was not, as in a loaded model, so loading fails. Here the wrapper stores, once, what the
    wrapped layer does not store itself.
    """

    def _own_variables(self) -> list[Variable]:
        of_layer = {id(weight) for weight in self.layer.weights}
        return [weight for weight in self.weights if id(weight) not in of_layer]

    def save_own_variables(self, store: WeightStore) -> None:
        """Keras' saving hook."""
        for weight in self._own_variables():
            store[local_name(weight)] = weight.numpy()

    def load_own_variables(self, store: WeightStore) -> None:
        """Keras' loading hook."""
        weights = {local_name(weight): weight for weight in self._own_variables()}
        load_named_weights(self.name, weights, store)

    def named_weights(self) -> dict[str, Variable]:
        """All variables of the wrapper and its layer by local name (kernel, bias, gamma, ...)."""
        return {local_name(weight): weight for weight in self.weights}
