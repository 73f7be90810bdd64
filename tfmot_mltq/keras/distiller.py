"""Distillation of Keras 3 models."""

from __future__ import annotations

import keras
from keras import ops

from tfmot_mltq.distillation import DistillerMixin


class Distiller(DistillerMixin, keras.Model):
    """See ``distill``."""

    log = staticmethod(ops.log)
    softmax = staticmethod(ops.softmax)
    mean = staticmethod(ops.mean)
    sum = staticmethod(ops.sum)
    maximum = staticmethod(ops.maximum)
    stop_gradient = staticmethod(ops.stop_gradient)
