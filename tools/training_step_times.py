"""Time of a training step against TensorFlow Model Optimization's own 8-bit quantization.

    .venv/bin/python tools/training_step_times.py --rounds=10

Trains ResNet-8 on random images: TFMOT's quantize_model, and ours in tf_keras and in Keras 3, plain
and pruned, in turns in one process. Prints the median over the rounds of the ratio of two
neighbouring times; the times themselves say little on a shared machine.
"""

import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "examples"))

import keras
import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from absl import app, flags
from cifar10 import build_resnet8
from rich.console import Console
from rich.table import Table

import tfmot_mltq as mltq

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 10, "Rounds of all models.")
flags.DEFINE_integer("steps", 30, "Steps of one model in a round.")
flags.DEFINE_integer("batch_size", 64, "Images per step.")


def models():
    """{name: (model, callbacks)}; TFMOT's own first."""
    frameworks = {"tf_keras": tf_keras, "Keras 3": keras}
    floats = {name: build_resnet8(keras=framework) for name, framework in frameworks.items()}
    yield "TFMOT, 8 bits", tfmot.quantization.keras.quantize_model(floats["tf_keras"]), []
    schedule = mltq.PolynomialDecay(0.3, 0.9, 0, 1000, frequency=100)
    for name, model in floats.items():
        for levels in (1, 2, 3):
            yield f"{name}, M = {levels}", mltq.quantize_model(model, levels), []
        for scope in ("layer", "global"):
            q = mltq.prune_low_magnitude(mltq.quantize_model(model, 2), schedule, scope=scope)
            yield f"{name}, M = 2, pruned ({scope})", q, [mltq.UpdatePruningStep()]
        learned = mltq.quantize_model(model, 2, learned_scales=True, threshold="learned")
        yield f"{name}, M = 2, learned", learned, []


def main(_):
    """Measures."""
    rng = np.random.default_rng(0)
    count = FLAGS.steps * FLAGS.batch_size
    x = rng.integers(0, 256, (count, 32, 32, 3)).astype(np.float32)
    y = rng.integers(0, 10, count)
    times = {}
    prepared = list(models())
    for _, model, _ in prepared:
        model.compile("adam", "sparse_categorical_crossentropy")
    for turn in range(FLAGS.rounds + 1):
        for name, model, callbacks in prepared:
            start = time.perf_counter()
            model.fit(x, y, FLAGS.batch_size, verbose=0, callbacks=callbacks)
            if turn:  # the first one compiles
                times.setdefault(name, []).append(time.perf_counter() - start)
    reference = np.array(times["TFMOT, 8 bits"])
    table = Table(title="Time of a training step, ResNet-8")
    table.add_column("model")
    table.add_column("times TFMOT's", justify="right")
    for name, values in times.items():
        table.add_row(name, f"{np.median(np.array(values) / reference):.2f}")
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
