"""Distillation of tf_keras models."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from tfmot_mltq.distillation import DistillerMixin


class Distiller(DistillerMixin, tf_keras.Model):
    """See ``distill``."""

    log = staticmethod(tf.math.log)
    softmax = staticmethod(tf.nn.softmax)
    mean = staticmethod(tf.reduce_mean)
    sum = staticmethod(tf.reduce_sum)
    maximum = staticmethod(tf.maximum)
    stop_gradient = staticmethod(tf.stop_gradient)
