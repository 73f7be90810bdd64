"""Layers of a model that others stand for, with ranges for the tensors inside."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.graph import ModelGraphs


class ExpandedLayer:
    """The layers that stand for one layer, called as one, each shared by all its calls.

    Args:
      layer: The layer.
      keras: Its framework.
    """

    def __init__(self, layer: Layer, keras: ModuleType) -> None:
        self.name = layer.name
        self._layer = layer
        self._keras = keras
        self._made: dict[str, Layer] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Applies the layers to symbolic tensors; arguments as of the layer."""
        raise NotImplementedError

    def _layer_called(self, name: str, make: Callable[[], Layer]) -> Layer:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _call(
        self, name: str, cls: Callable[..., Layer], x: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        return self._layer_called(name, lambda: cls(*args, name=name, **kwargs))(x)

    def _dense_of(
        self, name: str, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None, **options: Any
    ) -> Tensor:
        """A dense layer with the weights of a part of the layer."""
        layer = self._layer_called(
            name,
            lambda: self._keras.layers.Dense(
                kernel.shape[1],
                use_bias=bias is not None,
                trainable=self._layer.trainable,
                name=name,
                **options,
            ),
        )
        y = layer(x)
        layer.set_weights([kernel, *([] if bias is None else [bias])])
        return y


def with_expanded(model: Model, graphs: ModelGraphs, expanded: dict[int, ExpandedLayer]) -> Model:
    """A copy of a model, weights included, in which others stand for some layers.

    Args:
      model: Model without nested models; itself is returned if there is nothing to expand.
      graphs: Of its framework.
      expanded: What stands for a layer, by id(layer).
    """
    if not expanded:
        return model
    copies: list[tuple[Layer, Layer]] = []

    def replace(layer: Layer) -> list[Layer]:
        if id(layer) in expanded:
            return [expanded[id(layer)]]
        copies.append((layer, clone_layer(layer)))
        return [copies[-1][1]]

    rebuilt = graphs.rebuild(model, replace)
    copy_weights(copies)
    return rebuilt
