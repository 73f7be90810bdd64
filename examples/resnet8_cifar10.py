"""Quantizes a trained CIFAR-10 model, fine-tunes it briefly, converts it and runs it on TFLM.

    python examples/resnet8_cifar10.py --model=pretrainedResnet.h5 --levels=2 --epochs=1

The model is any tf_keras classifier of 32x32x3 images in 0..255, such as the image classification
reference of MLPerf Tiny. The data is Keras' CIFAR-10, or a local file with the same arrays
(x_train, y_train, x_test, y_test) by --data.
"""

import json
import pathlib

import numpy as np
import tf_keras as keras
from absl import app, flags
from rich.console import Console

import tfmot_mltq as mltq

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "Trained model, .h5 or .keras.", required=True)
flags.DEFINE_string("data", None, "Local .npz file instead of the download.")
flags.DEFINE_string("output", "build/resnet8", "Folder for the models and the results.")
flags.DEFINE_integer("levels", 2, "Levels M of the weights.", lower_bound=1, upper_bound=4)
flags.DEFINE_float("epochs", 1.0, "Epochs of fine-tuning; 0 converts as it is.", lower_bound=0)
flags.DEFINE_float("learning_rate", 1e-3, "Peak learning rate of the fine-tuning.")
flags.DEFINE_integer("tflm_images", 1000, "Test images to run on TFLM (one at a time).")
flags.DEFINE_integer("seed", 1, "Random seed.")

BATCH = 64


def load_data(path):
    """CIFAR-10 as float32 images in 0..255 and integer labels."""
    if path:
        with np.load(path) as data:
            arrays = [data[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    else:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
        arrays = [x_train, y_train, x_test, y_test]
    x_train, y_train, x_test, y_test = arrays
    return x_train, y_train.ravel(), x_test.astype(np.float32), y_test.ravel()


def augmented_batches(x, y, rng):
    """Endless batches of shuffled images, mirrored and shifted by up to four pixels."""
    while True:
        order = rng.permutation(len(x))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            picked = order[start : start + BATCH]
            padded = np.pad(x[picked], ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
            top, left = rng.integers(0, 9, 2)
            images = padded[:, top : top + 32, left : left + 32]
            flip = rng.random(BATCH) < 0.5
            images[flip] = images[flip, :, ::-1]
            yield images.astype(np.float32), y[picked]


def accuracy(model, x, y):
    """Top-1 accuracy of a Keras model."""
    return float(np.mean(np.argmax(model.predict(x, batch_size=256, verbose=0), 1) == y))


def main(_):
    """Runs the example."""
    console = Console()
    keras.utils.set_random_seed(FLAGS.seed)
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    x_train, y_train, x_test, y_test = load_data(FLAGS.data)
    model = keras.models.load_model(FLAGS.model, compile=False)
    result = {"levels": FLAGS.levels, "epochs": FLAGS.epochs}
    result["float_accuracy"] = accuracy(model, x_test, y_test)
    console.print(f"float accuracy {result['float_accuracy']:.4f}")

    q = mltq.quantize_model(model, levels=FLAGS.levels)
    samples = x_train[:256].astype(np.float32)
    mltq.calibrate(q, samples)
    result["accuracy_without_training"] = accuracy(q, x_test, y_test)
    console.print(f"quantized, without training {result['accuracy_without_training']:.4f}")

    steps = int(FLAGS.epochs * (len(x_train) // BATCH))
    if steps:
        schedule = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
        q.compile(
            keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        batches = augmented_batches(x_train, y_train, np.random.default_rng(FLAGS.seed))
        per_epoch = min(steps, 200)
        q.fit(batches, steps_per_epoch=per_epoch, epochs=-(-steps // per_epoch), verbose=2)
        result["accuracy_fine_tuned"] = accuracy(q, x_test, y_test)
        console.print(f"fine-tuned {result['accuracy_fine_tuned']:.4f}")
    q.save(output / f"levels{FLAGS.levels}.keras")

    tflite = mltq.convert(q, representative_dataset=samples)
    (output / f"levels{FLAGS.levels}.tflite").write_bytes(tflite)
    summary = mltq.summary(q)
    count = FLAGS.tflm_images
    interpreter = mltq.Interpreter(tflite, runtime="tflm")
    device = np.argmax(interpreter.predict(x_test[:count]), 1)
    in_keras = np.argmax(q.predict(x_test[:count], batch_size=256, verbose=0), 1)
    result |= {
        "tflite_bytes": len(tflite),
        "weight_bytes": summary["total"]["flash_bytes"],
        "int8_weight_bytes": summary["total"]["int8_bytes"],
        "bit_density": summary["total"]["bit_density"],
        "tflm_images": count,
        "tflm_accuracy": float(np.mean(device == y_test[:count])),
        "tflm_agrees_with_keras": float(np.mean(device == in_keras)),
        "arena_bytes": interpreter.arena_bytes,
    }
    (output / f"levels{FLAGS.levels}.json").write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


if __name__ == "__main__":
    app.run(main)
