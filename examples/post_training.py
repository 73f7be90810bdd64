r"""Post-training: an existing model on ternary levels, without any training.

    make demo
    python examples/post_training.py

takes the float model that `make demo` trained. With a model and data of your own:

    python examples/post_training.py --model=pretrainedResnet.h5 --data=cifar10.npz

--data is an .npz file with x_train, x_test and y_test, the images as the model takes them. Some
training images are the samples from which the ranges of the activations are taken; labels of
training images are not used. Prints and writes to --output the sizes, accuracies and predicted
instructions beside TensorFlow's int8.
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
from stock import stock_tflite

import tfmot_mltq as mltq
from tfmot_mltq.helpers.files import write_file

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "build/demo/float.keras", "A Keras model, .keras or .h5.")
flags.DEFINE_string("data", None, "Its data, an .npz file; by default scikit-learn's digits.")
flags.DEFINE_string("output", "build/post_training", "Folder for the models and the results.")
flags.DEFINE_list("levels", ["2", "3", "4"], "Levels M to try.")
flags.DEFINE_integer("samples", 200, "Training images for the ranges.", lower_bound=1)
flags.DEFINE_integer("test_images", 1000, "Test images to run.", lower_bound=1)


def load_data():
    """Training images, test images and test labels."""
    if FLAGS.data is None:
        from digits_data import load_data as load_digits

        x_train, x_test, _, y_test = load_digits()
        return x_train, x_test, y_test
    with np.load(FLAGS.data) as data:
        return data["x_train"], data["x_test"].astype(np.float32), data["y_test"].reshape(-1)


def main(_):
    """Converts without training, and compares."""
    console = Console()
    logging.set_verbosity(logging.ERROR)
    if not pathlib.Path(FLAGS.model).exists():
        sys.exit(f"There is no {FLAGS.model}: run `make demo` first, or pass --model.")
    model = keras.models.load_model(FLAGS.model, compile=False)
    x_train, x_test, y_test = load_data()
    x_test, y_test = x_test[: FLAGS.test_images], y_test[: FLAGS.test_images]
    samples = x_train[: FLAGS.samples].astype(np.float32)

    models = {"int8": stock_tflite(model, samples)}
    for levels in map(int, FLAGS.levels):
        # Nothing is trained, so the planes and their scales are the best for the weights as they
        # are: thresholds by search, and all scales of a channel fitted together.
        q = mltq.quantize_model(model, levels, threshold="exact", refit=True)
        models[f"{levels} levels"] = mltq.convert(q, representative_dataset=samples)
    rows = mltq.compare(models, x_test, y_test, console=console)
    float_accuracy = float(np.mean(model.predict(x_test, verbose=0).argmax(1) == y_test))
    console.print(f"float, in Keras: {float_accuracy:.2%}", highlight=False)

    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    for name, tflite in models.items():
        write_file(output / f"{name.replace(' ', '_')}.tflite", tflite)
    result = {"float_accuracy": float_accuracy, "compared": rows}
    write_file(output / "result.json", (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    app.run(main)
