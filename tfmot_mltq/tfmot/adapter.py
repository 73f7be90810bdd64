"""What the package asks of tf_keras; ``keras/adapter.py`` is its twin."""

from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.tfmot import distiller, model_graph, prune, quantize, quantized_layers


class TfKerasAdapter(Adapter):
    """tf_keras."""

    graphs = model_graph.GRAPHS
    Distiller = distiller.Distiller
    annotate = staticmethod(quantize.annotate)
    quantize = staticmethod(quantize.quantize)
    prune = staticmethod(prune.prune)
    is_annotated = staticmethod(quantized_layers.is_annotated)
    is_quantized = staticmethod(quantized_layers.is_quantized)
    is_pruned = staticmethod(quantized_layers.is_pruned)
    inner_layer = staticmethod(quantized_layers.inner_layer)
    multi_level_layer = staticmethod(quantized_layers.multi_level_layer)
    activation_levels = staticmethod(quantized_layers.activation_levels)
    output_quantization = staticmethod(quantized_layers.output_quantization)
    fused_batch_norm = staticmethod(quantized_layers.fused_batch_norm)
    pruned_layers = staticmethod(quantized_layers.pruned_layers)
    range_flags = staticmethod(quantized_layers.range_flags)
    inference = staticmethod(quantized_layers.inference)
    as_inputs = staticmethod(quantized_layers.as_inputs)
    to_numpy = staticmethod(quantized_layers.to_numpy)
    check_convertible = staticmethod(quantized_layers.check_convertible)
    plain_layer = staticmethod(quantized_layers.plain_layer)
    bake_weights = staticmethod(quantized_layers.bake_weights)


ADAPTER = TfKerasAdapter()
