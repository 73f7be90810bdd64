"""Values of variables, also while TensorFlow traces a call."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmot_mltq.helpers.framework_types import Variable


def eager_value(variable: Variable) -> np.ndarray:
    """The value of a tf_keras variable, outside the TensorFlow graph being traced."""
    with tf.init_scope():
        return variable.numpy()
