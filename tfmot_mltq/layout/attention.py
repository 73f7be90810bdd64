"""Attention layers as the layers that TFLite's int8 operators compute.

Attention is several operators: products, a softmax, sums. In quantized form it is written out in
ordinary layers, so that its inner tensors have int8 ranges, and training simulates what the
operators compute.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor
from tfmot_mltq.layout.expanded_layer import ExpandedLayer, with_expanded
from tfmot_mltq.layout.graph import ModelGraphs, Node, calls_of_layers
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.recurrent import mask_maker

_HEADS = ("MultiHeadAttention", "GroupedQueryAttention")
_KINDS = (*_HEADS, "Attention", "AdditiveAttention")


def expand_attention(model: Model, graphs: ModelGraphs) -> Model:
    """A model in which attention layers are written out.

    Calls with a mask or of more than one axis of positions, and those that return the scores, stay;
    TensorFlow's converter finds ranges for what is inside them.

    Args:
      model: Model without nested models; it is not changed.
      graphs: Of its framework.

    Returns:
      The model, itself if there is nothing to expand.
    """
    nodes_in_order = graphs.nodes_in_order(model)
    calls = calls_of_layers(node for node in nodes_in_order if kind_of(node.layer) in _KINDS)
    if not calls or any(mask_maker(layer) for layer in model.layers):
        return model
    expanded = {
        number: _expanded_class(nodes[0].layer)(nodes[0].layer, graphs)
        for number, nodes in calls.items()
        if _is_plain(nodes[0].layer) and _same_shapes(nodes) and all(map(_is_plain_call, nodes))
    }
    return with_expanded(model, graphs, expanded)


def _expanded_class(layer: Layer) -> type:
    return _ExpandedHeads if kind_of(layer) in _HEADS else _ExpandedAttention


def _is_plain(layer: Layer) -> bool:
    config = layer.get_config()
    if config.get("use_gate") or config.get("sliding_window") is not None:
        return False
    if kind_of(layer) not in _HEADS:
        return config.get("score_mode", "dot") == "dot"
    axes = config.get("attention_axes")
    output_kernel = layer._output_dense.get_weights()[0]
    return (axes is None or tuple(axes) == (1,)) and output_kernel.ndim == 3


def _same_shapes(nodes: Iterable[Node]) -> bool:
    """Whether a layer has known shapes of (batch, positions, features), the same in all calls."""
    shapes = {tuple(tuple(tensor.shape[1:]) for tensor in node.inputs) for node in nodes}
    return len(shapes) == 1 and all(
        len(shape) == 2 and None not in shape for shape in next(iter(shapes))
    )


def _is_plain_call(node: Node) -> bool:
    args, kwargs = node.arguments({id(tensor): tensor for tensor in node.inputs})
    tensors = {"query", "value", "key"}
    others = [value for name, value in kwargs.items() if name not in tensors]
    others += args[3 if kind_of(node.layer) in _HEADS else 1 :]
    return len(node.outputs) == 1 and all(value is None or value is False for value in others)


class _ExpandedHeads(ExpandedLayer):
    """An attention of several heads, which may share keys and values in groups."""

    def __init__(self, layer: Layer, graphs: ModelGraphs) -> None:
        super().__init__(layer, graphs.keras)
        self._matmul = graphs.matmul

    def __call__(self, query: Tensor, value: Tensor, key: Tensor = None, **_: object) -> Tensor:
        """Applies the layers to tensors of shape (batch, positions, features)."""
        layers, name = self._keras.layers, self.name
        positions = query.shape[1]
        size = self._layer._query_dense.get_weights()[0].shape[-1]
        # The scores are divided by the root of the size: here it is in the weights.
        queries = self._projected("query", query, 1 / np.sqrt(size))
        keys = self._projected("key", value if key is None else key)
        values = self._projected("value", value)
        queries = self._call(f"{name}_query_heads", layers.Permute, queries, (2, 1, 3))
        keys = self._call(f"{name}_key_heads", layers.Permute, keys, (2, 3, 1))
        values = self._call(f"{name}_value_heads", layers.Permute, values, (2, 1, 3))
        heads, groups, depth = queries.shape[1], keys.shape[1], values.shape[-1]
        shape: tuple[int, ...]
        if groups != heads:
            shape = (groups, heads // groups * positions, size)
            queries = self._call(f"{name}_query_groups", layers.Reshape, queries, shape)
        weights = self._call(f"{name}_softmax", layers.Softmax, self._matmul(queries, keys))
        rate = getattr(self._layer, "dropout", getattr(self._layer, "_dropout", 0))
        if rate:
            weights = self._call(f"{name}_dropout", layers.Dropout, weights, rate)
        result = self._matmul(weights, values)
        if groups != heads:
            shape = (heads, positions, depth)
            result = self._call(f"{name}_result_heads", layers.Reshape, result, shape)
        result = self._call(f"{name}_result", layers.Permute, result, (2, 1, 3))
        shape = (positions, heads * depth)
        result = self._call(f"{name}_result_joined", layers.Reshape, result, shape)
        kernel, *bias = self._layer._output_dense.get_weights()
        kernel = kernel.reshape(-1, kernel.shape[-1])
        return self._dense_part(name, result, self._layer._output_dense, kernel, bias)

    def _projected(self, part: str, x: Tensor, factor: float = 1.0) -> Tensor:
        """Queries, keys or values, shape (batch, positions, heads, size)."""
        layer = getattr(self._layer, f"_{part}_dense")
        kernel, *bias = layer.get_weights()
        heads = kernel.shape[1:]
        name = f"{self.name}_{part}"
        kernel = factor * kernel.reshape(kernel.shape[0], -1)
        y = self._dense_part(name, x, layer, kernel, [factor * value.ravel() for value in bias])
        return self._call(f"{name}_split", self._keras.layers.Reshape, y, (x.shape[1], *heads))

    def _dense_part(
        self, name: str, x: Tensor, layer: Layer, kernel: np.ndarray, bias: list[np.ndarray]
    ) -> Tensor:
        return self._dense_of(
            name,
            x,
            kernel,
            bias[0] if bias else None,
            kernel_regularizer=layer.kernel_regularizer,
            bias_regularizer=layer.bias_regularizer,
        )


class _ExpandedAttention(ExpandedLayer):
    """An attention whose scores are products, or sums of tanh."""

    def __init__(self, layer: Layer, graphs: ModelGraphs) -> None:
        super().__init__(layer, graphs.keras)
        self._matmul = graphs.matmul

    def __call__(self, tensors: Tensor, **_: object) -> Tensor:
        """Applies the layers to query, value and perhaps key, (batch, positions, features)."""
        query, value, *key = tensors
        layers, name = self._keras.layers, self.name
        is_sum = kind_of(self._layer) == "AdditiveAttention"
        scores = (self._sums if is_sum else self._products)(query, key[0] if key else value)
        weights = self._call(f"{name}_softmax", layers.Softmax, scores)
        if self._layer.dropout:
            weights = self._call(f"{name}_dropout", layers.Dropout, weights, self._layer.dropout)
        return self._call(name, layers.Identity, self._matmul(weights, value))

    def _products(self, query: Tensor, key: Tensor) -> Tensor:
        layers, name = self._keras.layers, self.name
        key = self._call(f"{name}_key", layers.Permute, key, (2, 1))
        scores = self._matmul(query, key)
        if self._layer.use_scale:
            scale = float(np.asarray(self._layer.get_weights()[0]))
            warnings.warn(
                f"Layer '{name}': its scale stays as it is when the quantized model is trained; "
                "the layers before it can make up for it.",
                stacklevel=2,
            )
            scores = self._call(f"{name}_scale", layers.Rescaling, scores, scale)
        return scores

    def _sums(self, query: Tensor, key: Tensor) -> Tensor:
        layers, name = self._keras.layers, self.name
        (positions, size), others = query.shape[1:], key.shape[1]
        query = self._call(f"{name}_query", layers.Reshape, query, (positions, 1, size))
        key = self._call(f"{name}_key", layers.Reshape, key, (1, others, size))
        pairs = self._call(f"{name}_sum", layers.Add, [query, key])
        pairs = self._call(f"{name}_tanh", layers.Activation, pairs, "tanh")
        scale = self._layer.get_weights()[0] if self._layer.use_scale else np.ones(size)
        scores = self._dense_of(f"{name}_scores", pairs, scale.reshape(-1, 1), None)
        return self._call(f"{name}_matrix", layers.Reshape, scores, (positions, others))
