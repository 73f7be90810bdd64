"""The functions of TensorFlow that the layers of both frameworks call."""

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from tfmot_mltq.layout.tensor_functions import TensorFunctions
from tfmot_mltq.tfmot.eager_value import eager_value

TENSOR_FUNCTIONS = TensorFunctions(lambda: tnp, tf.convert_to_tensor, tf.stop_gradient, eager_value)
