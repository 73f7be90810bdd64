r"""ReBNet's networks and ResNet-8, multi-level in weights and activations, ternary and binary.

    python examples/rebnet.py --network=cnn --kinds=ternary,binary --levels=1,2,3 --epochs=30

Trains a network from random weights for every kind and number of levels, as many for the weights as
for the activations, with the first layer in int8; converts it; and writes one line of JSON per run
to results.jsonl in --output. Runs that are in the file already are not repeated.

    python examples/rebnet.py --network=cnn --levels=3 --speedups=20,40 --granularity=word

Prunes and trains on the ternary networks that are in --output, to one-sided potential speed-ups, of
bits or of words, over the same network without any zero. All bits are pruned at once by default:
masks that change while the learning rate is high cost these networks more than they find.

--network=mlp is 784-256-256-256-10 on MNIST; cnn is 64-64-P-128-128-P-256-256-512-512-10 on
CIFAR-10, or with --digits on SVHN from --data (M. Ghasemzadeh, M. Samragh, F. Koushanfar: ReBNet,
2018); resnet8 is the one of MLPerf Tiny.
"""

import itertools
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from absl import app, flags
from cifar10 import AugmentedImages, accuracy, build_resnet8
from cifar10 import load_data as load_cifar10
from cifar10 import train as fit
from rich.console import Console

import tfmot_mltq as mltq
from tfmot_mltq.helpers.files import replaced_file

FLAGS = flags.FLAGS
flags.DEFINE_enum("network", "cnn", ["mlp", "cnn", "resnet8"], "Which network.")
flags.DEFINE_string("data", None, "Local .npz file with the arrays of the data set.")
flags.DEFINE_bool("digits", False, "The images of --data are digits (SVHN): no mirroring.")
flags.DEFINE_string("output", "build/rebnet", "Folder for the models and the results.")
flags.DEFINE_list("kinds", ["ternary", "binary"], "ternary, binary.")
flags.DEFINE_list("levels", ["1", "2", "3"], "Levels, of the weights and of the activations.")
flags.DEFINE_float("width", 1.0, "Width of the hidden layers, times ReBNet's.")
flags.DEFINE_float("epochs", 30.0, "Epochs of training.")
flags.DEFINE_float("learning_rate", 0.05, "Peak learning rate.")
flags.DEFINE_list("speedups", [], "Prune trained ternary networks to these speed-ups.")
flags.DEFINE_enum("granularity", "bit", ["bit", "word"], "What is pruned.")
flags.DEFINE_float("pruning_epochs", 6.0, "Epochs of training while and after pruning.")
flags.DEFINE_float("pruning_learning_rate", 0.02, "Peak learning rate of these.")
flags.DEFINE_float("rise", 0.01, "Share of these in which the sparsity rises; 0.01: at once.")
flags.DEFINE_integer("batch_size", 128, "Images per step.")
flags.DEFINE_integer("tflm_images", 1000, "Test images to run on TensorFlow Lite Micro.")
flags.DEFINE_integer("seed", 1, "Random seed.")

# What makes a run; a line of the results with the same values is not repeated.
_RUN = ("network", "data", "width", "epochs", "learning_rate", "batch_size", "seed")
_PRUNING_RUN = (*_RUN, "granularity", "pruning_epochs", "pruning_learning_rate", "rise")
_MEASURED_IMAGES = 200


def build_mlp(width=1.0):
    """The multilayer perceptron for MNIST; levels take the place of activation functions."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Flatten()(inputs)
    for _ in range(3):
        x = layers.Dense(int(256 * width), use_bias=False)(x)
        x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Softmax()(layers.Dense(10)(x)), name="rebnet_mlp")


def build_cnn(width=1.0):
    """The convolutional network for images of 32x32x3, likewise."""
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.Conv2D(int(filters * width), 3, use_bias=False)(x)
            x = layers.BatchNormalization()(x)
        if filters != 256:
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dense(int(512 * width), use_bias=False)(x)
        x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Softmax()(layers.Dense(10)(x)), name="rebnet_cnn")


_BUILDERS = {"mlp": build_mlp, "cnn": build_cnn, "resnet8": build_resnet8}


def load_data():
    """Images in 0..255, (samples, height, width, channels), and labels."""
    if FLAGS.network != "mlp" or FLAGS.data:
        x_train, y_train, x_test, y_test = load_cifar10(FLAGS.data)
    else:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    if x_train.ndim == 3:
        x_train, x_test = x_train[..., None], x_test[..., None]
    return x_train, y_train, x_test.astype(np.float32), y_test


class ScaledImages(keras.utils.PyDataset):
    """Batches of another data set, in -1..1."""

    def __init__(self, images):
        super().__init__()
        self._images = images

    def __len__(self):
        return len(self._images)

    def __getitem__(self, index):
        x, y = self._images[index]
        return scaled(x), y

    def on_epoch_end(self):
        """Shuffles."""
        self._images.on_epoch_end()


def scaled(images):
    """Images in -1..1."""
    return images / np.float32(127.5) - 1


def batches(x, y):
    """Batches to train on."""
    mirror = FLAGS.network != "mlp" and not FLAGS.digits
    return ScaledImages(AugmentedImages(x, y, FLAGS.batch_size, FLAGS.seed, mirror))


def train(kind, levels, x, y):
    """A network with so many levels of weights and of activations."""
    model = _BUILDERS[FLAGS.network](FLAGS.width)
    q = mltq.quantize_model(
        model, levels, kind=kind, activation_levels=levels, include_last_layer=True
    )
    fit(q, batches(x, y), FLAGS.epochs, FLAGS.learning_rate)
    return q


def prune(q, speedup, x, y):
    """A trained network, pruned to a speed-up and trained on."""
    images = batches(x, y)
    summary = mltq.summary(q, print_table=False)
    reached = summary["total"][f"potential_speedup_{FLAGS.granularity}"]
    # A network with all words, but one bit in each, has a speed-up of the levels.
    whole = summary["layers"][0]["levels"] if FLAGS.granularity == "word" else 1
    schedule = mltq.PolynomialDecay(
        1.0 - whole / min(reached, speedup), 1.0 - whole / speedup, 0,
        int(FLAGS.rise * FLAGS.pruning_epochs * len(images)), power=3, frequency=50,
    )  # fmt: skip
    # Every layer alike: the first has 784 times the work of the last, and would be pruned away if
    # they were ranked together by error per work.
    p = mltq.prune_low_magnitude(
        q,
        schedule,
        granularity=FLAGS.granularity,
        criterion="relative_error",
        sparsity_of="work",
    )
    fit(p, images, FLAGS.pruning_epochs, FLAGS.pruning_learning_rate, [mltq.UpdatePruningStep()])
    return p


def figures(q, x, y):
    """What a trained network scores and costs."""
    speedups = mltq.potential_speedup(q, x[:_MEASURED_IMAGES])
    tflite = mltq.convert(q)
    shown = slice(FLAGS.tflm_images)
    answers = np.argmax(mltq.Interpreter(tflite, runtime="tflm").predict(x[shown]), 1)
    summary = mltq.summary(q, print_table=False)
    return {
        "accuracy": accuracy(q, x, y),
        "tflm_accuracy": float(np.mean(answers == y[shown])),
        "tflite_bytes": len(tflite),
        "one_sided": speedups["one_sided"],
        "two_sided": speedups["two_sided"],
        "level_densities": {
            layer["name"]: [round(density, 5) for density in layer["level_densities"]]
            for layer in summary["layers"]
        },
    }


def runs():
    """Every run that is asked for, as what makes it."""
    if FLAGS.speedups:
        values = {name: FLAGS[name].value for name in _PRUNING_RUN}
        for levels, speedup in itertools.product(FLAGS.levels, FLAGS.speedups):
            yield {
                "kind": "ternary", "levels": int(levels), "speedup": float(speedup), **values
            }  # fmt: skip
        return
    values = {name: FLAGS[name].value for name in _RUN}
    for kind, levels in itertools.product(FLAGS.kinds, FLAGS.levels):
        yield {"kind": kind, "levels": int(levels), "speedup": 1.0, **values}


def main(_):
    """Runs what is asked for."""
    console = Console()
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    path = output / "results.jsonl"
    x_train, y_train, x_test, y_test = load_data()
    x_test = scaled(x_test)
    for run in runs():
        done = path.read_text() if path.exists() else ""
        if any(run.items() <= json.loads(line).items() for line in done.splitlines()):
            console.print(f"already in {path}: {run}")
            continue
        name = f"{FLAGS.network}_{run['kind']}_{run['levels']}"
        console.rule(f"{name}, {run['speedup']}x")
        keras.utils.set_random_seed(FLAGS.seed)
        start = time.monotonic()
        if run["speedup"] > 1:
            q = keras.models.load_model(output / f"{name}.keras", compile=False)
            q = prune(q, run["speedup"], x_train, y_train)
            name += f"_{FLAGS.granularity}_{run['speedup']}x"
        else:
            q = train(run["kind"], run["levels"], x_train, y_train)
        result = run | figures(q, x_test, y_test) | {"seconds": round(time.monotonic() - start)}
        q.save(output / f"{name}.keras")
        with replaced_file(path) as temporary:
            temporary.write_text(done + json.dumps(result) + "\n")
        console.print_json(data=result)


if __name__ == "__main__":
    app.run(main)
