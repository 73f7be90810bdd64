"""The functions of Keras 3 that the layers of both frameworks call."""

from keras import ops

from tfmot_mltq.keras.array_namespace import array_namespace
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.layout.tensor_functions import TensorFunctions

TENSOR_FUNCTIONS = TensorFunctions(
    array_namespace, ops.convert_to_tensor, ops.stop_gradient, eager_value
)
