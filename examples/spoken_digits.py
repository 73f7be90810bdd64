r"""Keyword spotting: spoken digits with a depthwise separable network, on ternary levels.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset
    python examples/spoken_digits.py --data=free-spoken-digit-dataset/recordings

Trains the DS-CNN of MLPerf Tiny on MFCC of 3,000 recordings at 8 kHz, quantizes it to levels,
prunes its bits, and compares it with TensorFlow's int8 on the data set's own 300 test recordings,
on TensorFlow Lite Micro and on LiteRT. Writes to --output: result.json, the models, and
features.npz, test features and labels for the command line:

    mltq compare build/spoken_digits/int8.tflite build/spoken_digits/mltq.tflite \
        --data=build/spoken_digits/features.npz --data_key=x --labels=y

What one recording says, by the network that was trained:

    python examples/spoken_digits.py --recording=seven.wav
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from absl import app, flags, logging
from rich.console import Console
from speech import disturbed, load_recordings, mfcc, one_second, read_wav
from stock import stock_tflite

import tfmot_mltq as mltq
from tfmot_mltq.helpers.files import replaced_file, write_file

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "Recordings: the data set's folder of .wav files, or an .npz.")
flags.DEFINE_string("recording", None, "Only say what this .wav file says.")
flags.DEFINE_string("output", "build/spoken_digits", "Folder for the models and the results.")
flags.DEFINE_integer("levels", 2, "Levels M of the weights.", lower_bound=1, upper_bound=4)
flags.DEFINE_float("sparsity", 0.8, "Share of the bits that are pruned.", 0.0, 1.0)
flags.DEFINE_integer("epochs", 40, "Epochs of the float training.", lower_bound=1)
flags.DEFINE_integer("fine_tune_epochs", 40, "Epochs with levels, pruning.", lower_bound=1)
flags.DEFINE_integer("filters", 64, "Filters of each layer.", lower_bound=4)
flags.DEFINE_integer("seed", 1, "Random seed.")

_BATCH_SIZE = 64
_RISE = 0.6  # The sparsity rises for this share of fine-tuning.


def build_model(input_shape, filters):
    """DS-CNN: a convolution and four depthwise separable blocks."""
    layers = keras.layers
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(filters, (10, 4), strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.2)(x)
    for _ in range(4):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.4)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="ds_cnn")


class DisturbedFeatures(keras.utils.PyDataset):
    """Batches of features of disturbed recordings, other ones in every epoch."""

    def __init__(self, waves, labels, front_end):
        super().__init__()
        self._waves, self._labels, self._front_end = waves, labels, front_end
        self._rng = np.random.default_rng(FLAGS.seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self._waves) // _BATCH_SIZE)

    def __getitem__(self, index):
        chosen = self._order[index * _BATCH_SIZE : (index + 1) * _BATCH_SIZE]
        return self._front_end(disturbed(self._waves[chosen], self._rng)), self._labels[chosen]

    def on_epoch_end(self):
        """Shuffles."""
        self._order = self._rng.permutation(len(self._waves))


def fit(model, batches, epochs, learning_rate, callbacks=()):
    """Trains with a cosine schedule."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(batches))
    optimizer = keras.optimizers.Adam(schedule)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(batches, epochs=epochs, verbose=2, callbacks=list(callbacks))


def accuracy(answers, labels):
    """Top-1 accuracy."""
    return float(np.mean(np.argmax(answers, 1) == labels))


def main(_):
    """Trains, converts and compares; or listens to one recording."""
    console = Console()
    logging.set_verbosity(logging.ERROR)
    output = pathlib.Path(FLAGS.output)
    if FLAGS.recording:
        listen(output, console)
        return
    if not FLAGS.data:
        sys.exit("--data: the folder of recordings of the Free Spoken Digit Dataset.")
    waves, labels, is_test = load_recordings(FLAGS.data)
    output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(FLAGS.seed)
    raw = mfcc(waves[~is_test]).numpy()
    mean, deviation = raw.mean((0, 1)), raw.std((0, 1))

    def front_end(batch):
        return (mfcc(batch).numpy() - mean) / deviation

    x_test, y_test = front_end(waves[is_test]), labels[is_test]
    batches = DisturbedFeatures(waves[~is_test], labels[~is_test], front_end)
    samples = front_end(waves[~is_test][:: max(1, np.sum(~is_test) // 200)])

    console.rule("1. float training")
    model = build_model(x_test.shape[1:], FLAGS.filters)
    fit(model, batches, FLAGS.epochs, 3e-3)

    console.rule(f"2. {FLAGS.levels} ternary levels, {FLAGS.sparsity:.0%} of the bits pruned")
    q = mltq.quantize_model(model, FLAGS.levels)
    rise = int(_RISE * FLAGS.fine_tune_epochs * len(batches))
    schedule = mltq.PolynomialDecay(0.0, FLAGS.sparsity, 0, rise, frequency=20)
    p = mltq.prune_low_magnitude(q, schedule, granularity="bit")
    fit(p, batches, FLAGS.fine_tune_epochs, 2e-3, [mltq.UpdatePruningStep()])
    total = mltq.summary(p, console=console)["total"]

    console.rule(f"3. {len(x_test)} test recordings on both runtimes")
    models = {"int8": stock_tflite(model, samples), "mltq": mltq.convert(p)}
    rows = mltq.compare(models, x_test, y_test, console=console)
    litert = mltq.Interpreter(models["mltq"], runtime="litert").predict(x_test)
    result = {
        "float_accuracy": accuracy(model.predict(x_test, verbose=0), y_test),
        "keras_accuracy": accuracy(p.predict(x_test, verbose=0), y_test),
        "litert_accuracy": accuracy(litert, y_test),
        "bit_density": total["bit_density"],
        "potential_speedup_bit": total["potential_speedup_bit"],
        "potential_speedup_word": total["potential_speedup_word"],
        "compared": rows,
    }
    model.save(output / "float.keras")
    p.save(output / "mltq.keras")
    for name, tflite in models.items():
        write_file(output / f"{name}.tflite", tflite)
    with replaced_file(output / "features.npz") as temporary:
        np.savez(temporary, x=x_test, y=y_test, mean=mean, deviation=deviation)
    write_file(output / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    console.print_json(data=result)


def listen(output, console):
    """Says what a recording says, by the converted network."""
    with np.load(output / "features.npz") as features:
        mean, deviation = features["mean"], features["deviation"]
    x = mfcc(one_second(read_wav(FLAGS.recording))[None]).numpy()
    scores = mltq.Interpreter(output / "mltq.tflite").predict((x - mean) / deviation)[0]
    best = int(np.argmax(scores))
    console.print(f"{FLAGS.recording}: {best} ({scores[best]:.0%})")


if __name__ == "__main__":
    try:
        app.run(main)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
