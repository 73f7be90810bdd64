"""Values of variables, also while TensorFlow traces a call."""

from __future__ import annotations

import keras
import numpy as np

from tfmot_mltq.helpers.framework_types import Variable


def eager_value(variable: Variable) -> np.ndarray:
    """The value of a Keras variable as float32, outside the TensorFlow graph being traced."""
    if keras.backend.backend() != "tensorflow":
        return variable.numpy().astype(np.float32)
    import tensorflow as tf

    with tf.init_scope():
        return variable.numpy().astype(np.float32)
