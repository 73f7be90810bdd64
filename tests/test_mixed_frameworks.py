"""Models of one framework that hold layers of the other are refused with the way out."""

import inspect

import keras
import pytest
import tf_keras

import tfmot_mltq as mltq


def holder(outer, inner):
    """A model of ``outer`` with a custom layer that holds a layer of ``inner``."""

    class Holder(outer.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner.layers.Dense(3)

        def call(self, x):
            return self.inner(x)

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], 3)

    inputs = outer.Input((4,))
    x = Holder(name="holder")(outer.layers.Dense(4)(inputs))
    return outer.Model(inputs, outer.layers.Dense(2)(x))


@pytest.mark.parametrize(("outer", "inner"), [(keras, tf_keras), (tf_keras, keras)])
def test_a_layer_that_holds_one_of_the_other_framework(outer, inner):
    with pytest.raises(mltq.UnsupportedModelError, match=r"'holder' is a .* do not mix"):
        mltq.quantize_model(holder(outer, inner))


def test_keras_3_layers_called_in_a_tf_keras_model():
    inputs = tf_keras.Input((4,))
    x = keras.layers.Dense(3)(inputs)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2)(x))
    with pytest.raises(mltq.UnsupportedModelError, match="variable of a Keras 3 layer"):
        mltq.quantize_model(model)


def test_annotating_one_and_applying_the_other():
    annotated = mltq.quantize_annotate_layer(keras.layers.Dense(3))
    with pytest.raises(TypeError):
        tf_keras.Sequential([tf_keras.layers.InputLayer((4,)), annotated])


def test_both_adapters_take_the_same_arguments():
    from tfmot_mltq.keras.adapter import ADAPTER as KERAS
    from tfmot_mltq.layout.adapter import Adapter
    from tfmot_mltq.tfmot.adapter import ADAPTER as TF_KERAS

    for name in Adapter.__abstractmethods__:
        asked = list(inspect.signature(getattr(Adapter, name)).parameters)
        for adapter in (KERAS, TF_KERAS):
            assert list(inspect.signature(getattr(type(adapter), name)).parameters) == asked, name
