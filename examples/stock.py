"""TensorFlow's own conversion, to compare with."""


def stock_tflite(model, samples=None):
    """TensorFlow's own conversion: float, or full int8 if samples are given."""
    import tensorflow as tf  # Training on another backend does without it.

    tf.get_logger().setLevel("ERROR")
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()
