"""QuantizeLayoutTransform: where int8 tensors lie once TFLite has fused the model.

TFMOT's default transforms match fixed layer patterns; ReLU6 activations, Conv1D, shared layers and
custom configurations fall through them. The rule here is about the graph: an output is quantized
unless TFLite fuses the one layer that reads it, or the layer passes quantized values through.
"""

from __future__ import annotations

from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_layout_transform as tfmot_quantize_layout_transform,
)

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Config, Layer, Model
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.layout.range_groups import RangeQuantizers, plan_ranges
from tfmot_mltq.layout.recurrent import is_fused_lstm
from tfmot_mltq.layout.ternarize_activation import ternarize_layers
from tfmot_mltq.layout.tflite_layers import with_tflite_layers
from tfmot_mltq.tfmot import quantize_configs as configs
from tfmot_mltq.tfmot.int8_lstm import Int8LSTM
from tfmot_mltq.tfmot.model_graph import TfKerasModelGraphs, layers_tfmot_cannot_wrap
from tfmot_mltq.tfmot.quantize_activation import QuantizeActivation, QuantizeFixedRange
from tfmot_mltq.tfmot.quantize_registry import MultiLevelQuantizeRegistry
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper
from tfmot_mltq.tfmot.saved_wrapper import local_name
from tfmot_mltq.tfmot.ternarize_activation import TernarizeActivation


class MultiLevelQuantizeLayoutTransform(tfmot_quantize_layout_transform.QuantizeLayoutTransform):
    """Replaces layers by what TFLite runs, quantizes inputs, and wraps every layer.

    Args:
      registry: Gives the configuration of layers that were not annotated with one.
    """

    def __init__(self, registry: MultiLevelQuantizeRegistry) -> None:
        self._registry = registry
        self._graphs = TfKerasModelGraphs()

    def apply(
        self, model: Model, layer_quantize_map: dict[str, Config]
    ) -> tuple[Model, dict[str, Config]]:
        """TFMOT's interface: the changed model, and the layers that are still to be wrapped."""
        configured: dict[str, configs.OutputQuantizeConfig] = {}

        def note(layer: Layer, parts: list[Layer]) -> None:
            config = layer_quantize_map.get(layer.name, {}).get("quantize_config")
            config = config or self._registry.get_quantize_config(layer)
            if not isinstance(config, configs.OutputQuantizeConfig):
                raise UnsupportedModelError(
                    f"Layer '{layer.name}' is annotated with {type(config).__name__}, which does "
                    "not know the MLTQ operators. Annotate it with mltq.quantize_annotate_layer, "
                    "or leave it without annotation to have it int8."
                )
            own = config.parts()
            for part, part_config in zip(parts[-len(own) :], own, strict=True):
                configured[part.name] = part_config

        replaced = with_tflite_layers(model, self._graphs, note)
        # Nothing is left for TFMOT to wrap.
        return _place_quantizers(replaced, configured, self._registry, self._graphs), {}


def _place_quantizers(
    model: Model,
    configured: dict[str, configs.OutputQuantizeConfig],
    registry: MultiLevelQuantizeRegistry,
    graphs: ModelGraphs,
) -> Model:
    """A copy of the model with every layer wrapped, and a range wherever TFLite stores a tensor.

    A range of one tensor without limits is the output quantizer of its layer's wrapper, where it
    has one.
    """
    plan = plan_ranges(model, graphs)
    quantizers = RangeQuantizers(plan, QuantizeActivation, QuantizeFixedRange)
    unwrappable = layers_tfmot_cannot_wrap(model)
    copies: list[tuple[Layer, Layer]] = []

    def place(layer: Layer) -> list[Layer]:
        if is_fused_lstm(layer):
            copy = Int8LSTM.from_config(layer.get_config())
            copies.append((layer, copy))
            return [copy, *quantizers.behind(layer.name)]
        copy = clone_layer(layer)
        if layer.name in unwrappable:
            copies.append((layer, copy))
            return [copy, *quantizers.behind(layer.name)]
        config = configured.get(layer.name) or registry.get_quantize_config(layer)
        site = plan.sites.get(layer.name)
        is_alone = site is not None and site.sites == 1 and site.limits is None
        wrapper = MltqQuantizeWrapper(
            copy, config if is_alone else config.without_output(), name_prefix="quant_"
        )
        copies.append((layer, wrapper))
        behind = [] if is_alone else quantizers.behind(layer.name)
        levels = getattr(config, "decomposition", None)
        return [*ternarize_layers(layer, levels, TernarizeActivation), wrapper, *behind]

    placed = graphs.rebuild(model, place, on_input=quantizers.on_input)
    for layer, copy in copies:
        if isinstance(copy, MltqQuantizeWrapper):
            weights = copy.named_weights()
            for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
                weights[local_name(weight)].assign(value)
        elif isinstance(copy, Int8LSTM):
            copy_weights([(layer.cell, copy.cell)])
        else:
            copy_weights([(layer, copy)])
    return placed
