"""Quick start: trains a digit classifier, makes it ternary, and runs it on TensorFlow Lite Micro.

    python examples/digits.py --levels=2

Uses the 1,797 handwritten digits that scikit-learn ships, so nothing is downloaded. Prints one
table and writes result.json, the models and the table to --output. With KERAS_BACKEND=jax or torch
the training runs there; what needs TensorFlow then runs in a second process of this script.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app, flags, logging
from digits_data import load_data
from rich.console import Console
from rich.progress import track
from rich.table import Table
from stock import stock_tflite

import tfmot_mltq as mltq
from tfmot_mltq.helpers.files import write_file

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "build/demo", "Folder for the models and the results.")
flags.DEFINE_enum("keras", "keras", ["keras", "tf_keras"], "Framework: Keras 3, or tf_keras.")
flags.DEFINE_integer("levels", 2, "Levels M of the weights.", lower_bound=1, upper_bound=4)
flags.DEFINE_integer(
    "activation_levels", 0, "Levels K of the activations; 0: int8.", lower_bound=0, upper_bound=4
)
flags.DEFINE_enum("kind", "ternary", ["ternary", "binary"], "Kind of the levels.")
flags.DEFINE_integer("epochs", 30, "Epochs of the float training.", lower_bound=1)
flags.DEFINE_integer("fine_tune_epochs", 20, "Epochs of the ternary fine-tuning.", lower_bound=0)
flags.DEFINE_integer("seed", 7, "Random seed.")
flags.DEFINE_bool("trained", False, "Only convert and run what an earlier run trained.")


def build_model(keras):
    """A small convolutional network with a residual connection."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(16, 3, padding="same", use_bias=False, name="residual")(x)
    x = layers.ReLU()(layers.add([x, layers.BatchNormalization()(y)]))
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="down")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(48, 3, padding="same", use_bias=False, name="sep")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="digits")


def show_epochs(keras, console, title, epochs, every=5):
    """A callback that prints a line every few epochs."""

    def show(epoch, logs):
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            console.print(
                f"  {title}: epoch {epoch + 1}/{epochs}, loss {logs['loss']:.4f}, "
                f"accuracy {logs['accuracy']:.4f}"
            )

    return keras.callbacks.LambdaCallback(on_epoch_end=show)


def train(keras, model, data, epochs, learning_rate, console, title, callbacks=()):
    """Trains with a cosine schedule."""
    x, y = data
    batch = 32
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * -(-len(x) // batch))
    model.compile(
        keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    shown = show_epochs(keras, console, title, epochs, every=max(5, epochs // 4))
    model.fit(x, y, batch, epochs, verbose=0, shuffle=True, callbacks=[shown, *callbacks])


def classify(interpreter, images, title):
    """Class of every image, with a progress bar."""
    chunks = np.array_split(images, 20)
    return np.concatenate(
        [np.argmax(interpreter.predict(chunk), 1) for chunk in track(chunks, f"  {title}")]
    )


def results_table(result):
    """The figures, for people."""
    table = Table(title=f"Digits, {FLAGS.levels} ternary levels", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, title, form in (
        ("float_accuracy", "accuracy: float", "{:.2%}"),
        ("keras_accuracy", "accuracy: quantized, in Keras", "{:.2%}"),
        ("tflm_accuracy", "accuracy: TensorFlow Lite Micro", "{:.2%}"),
        ("litert_accuracy", "accuracy: LiteRT", "{:.2%}"),
        ("float_tflite_bytes", "float .tflite, bytes", "{:,}"),
        ("int8_tflite_bytes", "int8 .tflite, bytes", "{:,}"),
        ("mltq_tflite_bytes", "MLTQ .tflite, bytes", "{:,}"),
        ("zero_bits", "zero bits", "{:.1%}"),
        ("zero_words", "zero words", "{:.1%}"),
        ("potential_speedup_bit", "potential speed-up, bit level (one-sided)", "{:.2f}x"),
        ("potential_speedup_word", "potential speed-up, word level (one-sided)", "{:.2f}x"),
        ("arena_bytes", "arena in TensorFlow Lite Micro, bytes", "{:,}"),
    ):
        values = {
            **result,
            "zero_bits": 1 - result["bit_density"],
            "zero_words": 1 - result["word_density"],
        }
        table.add_row(title, form.format(values[key]))
    return table


def train_models(keras, output, console):
    """Trains the float and the ternary model; returns their accuracies in Keras."""
    keras.utils.set_random_seed(FLAGS.seed)
    x_train, x_test, y_train, y_test = load_data()
    console.rule("1. float training")
    model = build_model(keras)
    train(keras, model, (x_train, y_train), FLAGS.epochs, 3e-3, console, "float")

    console.rule(f"2. quantization to {FLAGS.levels} {FLAGS.kind} levels and fine-tuning")
    q = mltq.quantize_model(
        model, levels=FLAGS.levels, kind=FLAGS.kind, activation_levels=FLAGS.activation_levels
    )
    if FLAGS.fine_tune_epochs:
        data = x_train, y_train
        train(keras, q, data, FLAGS.fine_tune_epochs, 1e-3, console, "ternary")
    else:
        mltq.calibrate(q, x_train)
    mltq.summary(q, console=console)
    model.save(output / "float.keras")
    q.save(output / "digits.keras")

    def accuracy(net):
        return float(np.mean(np.argmax(net.predict(x_test, verbose=0), 1) == y_test))

    return {"float_accuracy": accuracy(model), "keras_accuracy": accuracy(q)}


def convert_and_run(keras, output, console):
    """Converts the trained models, and runs all test images; returns the figures."""
    x_train, x_test, _, y_test = load_data()
    model = keras.models.load_model(output / "float.keras")
    q = keras.models.load_model(output / "digits.keras")
    console.rule("3. conversion")
    tflite = mltq.convert(q)
    stock_float, stock_int8 = stock_tflite(model), stock_tflite(model, x_train[:200])
    write_file(output / "digits.tflite", tflite)
    console.print(f"  wrote {output / 'digits.tflite'} and {output / 'digits.keras'}")

    console.rule(f"4. all {len(x_test)} test images on both runtimes")
    tflm = mltq.Interpreter(tflite, runtime="tflm")
    on_tflm = classify(tflm, x_test, "TensorFlow Lite Micro")
    on_litert = classify(mltq.Interpreter(tflite, runtime="litert"), x_test, "LiteRT")
    mltq.compare({"int8": stock_int8, "mltq": tflite}, x_test, y_test, console=console)
    total = mltq.summary(q, print_table=False)["total"]
    return {
        "tflm_accuracy": float(np.mean(on_tflm == y_test)),
        "litert_accuracy": float(np.mean(on_litert == y_test)),
        "float_tflite_bytes": len(stock_float),
        "int8_tflite_bytes": len(stock_int8),
        "mltq_tflite_bytes": len(tflite),
        "bit_density": total["bit_density"],
        "word_density": total["word_density"],
        "potential_speedup_bit": total["potential_speedup_bit"],
        "potential_speedup_word": total["potential_speedup_word"],
        "arena_bytes": tflm.arena_bytes,
    }


def main(_):
    """Runs the demo."""
    console = Console()
    logging.set_verbosity(logging.ERROR)
    keras = importlib.import_module(FLAGS.keras)
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    trained = output / "trained.json"
    if not FLAGS.trained:
        accuracies = train_models(keras, output, console)
        write_file(trained, json.dumps(accuracies).encode())
    if FLAGS.keras == "keras" and keras.backend.backend() != "tensorflow":
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        command = [sys.executable, *sys.argv, "--trained"]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    result = json.loads(trained.read_bytes()) | convert_and_run(keras, output, console)
    write_file(output / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    console.print(results_table(result))
    console.print(f"Figures in {output / 'result.json'}.")


if __name__ == "__main__":
    app.run(main)
