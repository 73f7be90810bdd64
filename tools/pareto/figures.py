"""What a trained network scores on the validation images."""

from __future__ import annotations

from typing import Any

import numpy as np
from stock import stock_tflite

import tfmot_mltq as mltq
from pareto.image_data import ImageData
from pareto.trainer import accuracy
from pareto.training_run import TrainingRun

_CALIBRATION_IMAGES = 200


def figures(model: Any, run: TrainingRun, data: ImageData) -> dict[str, Any]:
    """Validation accuracy and size: of a float network as it is and as int8, of ours as it is."""
    images, labels = data.images[data.validation], data.labels[data.validation]
    result: dict[str, Any] = {"validation_accuracy": accuracy(model, images, labels)}
    if not run.levels:
        samples = data.images[data.training[:_CALIBRATION_IMAGES]].astype(np.float32)
        tflite = stock_tflite(model, samples)
        answers = mltq.Interpreter(tflite, "litert").predict(images.astype(np.float32))
        result["int8_validation_accuracy"] = float(np.mean(np.argmax(answers, 1) == labels))
        result["int8_bytes"] = len(tflite)
        return result
    summary = mltq.summary(model, print_table=False)
    result["additions"] = sum(
        layer["nonzero_bits"] * layer["positions"] for layer in summary["layers"]
    )
    return {**result, "total": summary["total"]}
