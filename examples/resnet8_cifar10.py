"""Trains ResNet-8 on CIFAR-10 with ternary levels, converts it and runs it on TFLM.

    python examples/resnet8_cifar10.py --levels=2 --float_epochs=20 --epochs=10
    python examples/resnet8_cifar10.py --model=pretrainedResnet.h5 --levels=2 --epochs=1

Trains the image classification reference of MLPerf Tiny first, or starts from --model: any Keras
classifier of 32x32x3 images in 0..255, float or quantized by this script. KERAS_BACKEND chooses
what trains: tensorflow, jax or torch. Conversion needs TensorFlow; on another backend the script
stops after training and prints the command that converts its result. The data is Keras' CIFAR-10,
or a local file with the same arrays (x_train, y_train, x_test, y_test) by --data.
"""

import json
import pathlib
import time

import keras
import numpy as np
from absl import app, flags
from cifar10 import accuracy, build_resnet8, load_data
from rich.console import Console
from stock import stock_tflite

import tfmot_mltq as mltq

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "Model to start from, .h5 or .keras.")
flags.DEFINE_string("data", None, "Local .npz file instead of the download.")
flags.DEFINE_string("output", "build/resnet8", "Folder for the models and the results.")
flags.DEFINE_integer("levels", 2, "Levels M of the weights.", lower_bound=1, upper_bound=4)
flags.DEFINE_float("float_epochs", 20.0, "Epochs of float training without --model.")
flags.DEFINE_float("epochs", 1.0, "Epochs of fine-tuning; 0 converts as it is.", lower_bound=0)
flags.DEFINE_integer("batch_size", 64, "Images per step.")
flags.DEFINE_float("learning_rate", 1e-3, "Peak learning rate.")
flags.DEFINE_integer("speed_steps", 0, "Steps to time the float and the quantized model for.")
flags.DEFINE_integer("tflm_images", 1000, "Test images to run on TFLM (one at a time).")
flags.DEFINE_integer("seed", 1, "Random seed.")


def augmented_batches(x, y, rng):
    """Endless batches of shuffled images, mirrored and shifted by up to four pixels."""
    batch = FLAGS.batch_size
    while True:
        order = rng.permutation(len(x))
        for start in range(0, len(order) - batch + 1, batch):
            picked = order[start : start + batch]
            padded = np.pad(x[picked], ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
            top, left = rng.integers(0, 9, 2)
            images = padded[:, top : top + 32, left : left + 32]
            flip = rng.random(batch) < 0.5
            images[flip] = images[flip, :, ::-1]
            yield images.astype(np.float32), y[picked]


def compile_for(model, steps):
    """Adam with a cosine schedule over ``steps``."""
    schedule = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, max(steps, 1))
    model.compile(
        keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )


def train(model, x, y, epochs):
    """Trains for a number of epochs, or a part of one."""
    steps = int(epochs * (len(x) // FLAGS.batch_size))
    if not steps:
        return
    compile_for(model, steps)
    batches = augmented_batches(x, y, np.random.default_rng(FLAGS.seed))
    per_epoch = min(steps, 200)
    model.fit(batches, steps_per_epoch=per_epoch, epochs=-(-steps // per_epoch), verbose=2)


def images_per_second(models, x, y):
    """Training speed of copies of models, in turns, without their first round of compilation."""
    copies = {name: keras.models.clone_model(model) for name, model in models.items()}
    for copy in copies.values():
        compile_for(copy, 1)
    batches = augmented_batches(x, y, np.random.default_rng(0))
    best = dict.fromkeys(copies, 0.0)
    for turn in range(4):
        for name, copy in copies.items():
            start = time.perf_counter()
            copy.fit(batches, steps_per_epoch=FLAGS.speed_steps, verbose=0)
            speed = FLAGS.speed_steps * FLAGS.batch_size / (time.perf_counter() - start)
            best[name] = max(best[name], speed) if turn else 0.0
    return best


def is_quantized(model):
    """Whether a model comes from ``quantize_model``."""
    try:
        mltq.summary(model, print_table=False)
    except mltq.UnsupportedModelError:
        return False
    return True


def convert_and_run(q, x_train, x_test, y_test, path):
    """Writes the .tflite, and compares TensorFlow Lite Micro with Keras."""
    tflite = mltq.convert(q, representative_dataset=x_train[:256].astype(np.float32))
    path.write_bytes(tflite)
    count = FLAGS.tflm_images
    interpreter = mltq.Interpreter(tflite, runtime="tflm")
    device = np.argmax(interpreter.predict(x_test[:count]), 1)
    in_keras = np.argmax(q.predict(x_test[:count], batch_size=256, verbose=0), 1)
    return {
        "tflite_bytes": len(tflite),
        "tflm_images": count,
        "tflm_accuracy": float(np.mean(device == y_test[:count])),
        "tflm_agrees_with_keras": float(np.mean(device == in_keras)),
        "arena_bytes": interpreter.arena_bytes,
    }


def main(_):
    """Runs the example."""
    console = Console()
    keras.utils.set_random_seed(FLAGS.seed)
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    x_train, y_train, x_test, y_test = load_data(FLAGS.data)
    backend = keras.backend.backend()
    result = {"levels": FLAGS.levels, "epochs": FLAGS.epochs, "backend": backend}
    if FLAGS.model:
        model = keras.models.load_model(FLAGS.model, compile=False)
    else:
        model = build_resnet8()
        train(model, x_train, y_train, FLAGS.float_epochs)
        model.save(output / "float.keras")
    result["accuracy_before"] = accuracy(model, x_test, y_test)
    console.print(f"accuracy of the model as it is {result['accuracy_before']:.4f}")

    q = model
    if not is_quantized(model):
        q = mltq.quantize_model(model, levels=FLAGS.levels)
        mltq.calibrate(q, x_train[:256].astype(np.float32))
        result["accuracy_without_training"] = accuracy(q, x_test, y_test)
        console.print(f"quantized, without training {result['accuracy_without_training']:.4f}")
        if FLAGS.speed_steps:
            models = {"float": model, "quantized": q}
            result["images_per_second"] = images_per_second(models, x_train, y_train)
    train(q, x_train, y_train, FLAGS.epochs)
    result["accuracy_fine_tuned"] = accuracy(q, x_test, y_test)
    console.print(f"quantized, trained {result['accuracy_fine_tuned']:.4f}")
    saved = output / f"levels{FLAGS.levels}.keras"
    q.save(saved)
    total = mltq.summary(q)["total"]
    result |= {
        "weight_bytes": total["flash_bytes"],
        "int8_weight_bytes": total["int8_bytes"],
        "bit_density": total["bit_density"],
    }
    if backend == "tensorflow":
        tflite = saved.with_suffix(".tflite")
        result |= convert_and_run(q, x_train, x_test, y_test, tflite)
        plain = mltq.strip(q) if is_quantized(model) else model
        int8 = stock_tflite(plain, x_train[:256].astype(np.float32))
        shown = slice(FLAGS.tflm_images)
        models = {"int8, of the model as it was": int8, f"{FLAGS.levels} levels": tflite}
        mltq.compare(models, x_test[shown].astype(np.float32), y_test[shown], console=console)
    (output / f"levels{FLAGS.levels}.json").write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)
    if backend != "tensorflow":
        console.print(
            "To convert it, and run it on TensorFlow Lite Micro:\n  KERAS_BACKEND=tensorflow "
            f"python examples/resnet8_cifar10.py --model={saved} --levels={FLAGS.levels} --epochs=0"
        )


if __name__ == "__main__":
    app.run(main)
