r"""ResNet-8 on CIFAR-10, pruned: accuracy against additions, ternary and binary, wide and narrow.

    python examples/resnet8_pruning.py --model=float.keras --levels=1,2,3 --kinds=ternary,binary \
        --speedups=1,10,15,30

Starts from the float classifier --model (of 32x32x3 images in 0..255). If the file does not exist,
it trains one of --width, or the one in --start, for --float_epochs epochs first. Then it fine-tunes
the model once per combination of levels, kind and potential speed-up at bit level (1: not pruned),
and writes one line of JSON per run to results.jsonl in --output. Runs that are in the file already
are not repeated, so a stopped script goes on where it was; --plot draws all of them.
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
from cifar10 import AugmentedImages, accuracy, build_resnet8, load_data, train
from rich.console import Console

import tfmot_mltq as mltq

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "build/resnet8_pruning/float.keras", "Float model, .h5 or .keras.")
flags.DEFINE_string("teacher", None, "Model to distil from; the float model by default.")
flags.DEFINE_string("data", None, "Local .npz file instead of the download.")
flags.DEFINE_string("output", "build/resnet8_pruning", "Folder for the models and the results.")
flags.DEFINE_string("start", None, "Model that float training starts from; else random weights.")
flags.DEFINE_float("width", 1.0, "Width of the float model that is trained, times ResNet-8's.")
flags.DEFINE_float("float_epochs", 30.0, "Epochs of float training.")
flags.DEFINE_float("float_learning_rate", 0.2, "Peak learning rate of float training.")
flags.DEFINE_list("levels", ["2"], "Levels M of the weights.")
flags.DEFINE_list("kinds", ["ternary"], "ternary, binary.")
flags.DEFINE_list("speedups", ["1", "15"], "Potential speed-ups at bit level; 1 does not prune.")
flags.DEFINE_enum("scope", "global", ["global", "layer"], "Scope of pruning.")
flags.DEFINE_string("criterion", "relative_error_per_work", "Criterion of pruning.")
flags.DEFINE_float("rise", 0.9, "Share of the training in which the sparsity rises.")
flags.DEFINE_float("power", 5.0, "Power of the polynomial by which it does.")
flags.DEFINE_float("teacher_weight", 0.9, "Weight of the teacher in the loss; 0 for none.")
flags.DEFINE_bool("all_layers", False, "Levels for the first and the last layer too.")
flags.DEFINE_bool("learned_scales", False, "Train the scales.")
flags.DEFINE_bool("refit", False, "Refit the scales of all levels together.")
flags.DEFINE_float("epochs", 16.0, "Epochs of fine-tuning.")
flags.DEFINE_integer("batch_size", 128, "Images per step.")
flags.DEFINE_float("learning_rate", 0.02, "Peak learning rate of fine-tuning.")
flags.DEFINE_integer("tflm_images", 0, "Test images to run on TensorFlow Lite Micro.")
flags.DEFINE_string("plot", None, "Only draw the results into this file.")
flags.DEFINE_integer("seed", 1, "Random seed.")

# What makes a run; a line of the results with the same values is not repeated.
_RUN = (
    "model", "teacher", "all_layers", "scope", "criterion", "rise", "power", "teacher_weight",
    "learned_scales", "refit", "epochs", "batch_size", "learning_rate", "tflm_images", "seed",
)  # fmt: skip


def augmented(data):
    """Batches to train on."""
    return AugmentedImages(*data, FLAGS.batch_size, FLAGS.seed)


def float_model(data, console):
    """The float model, trained if it is not there."""
    path = pathlib.Path(FLAGS.model)
    if path.exists():
        return keras.models.load_model(path, compile=False)
    console.rule(f"float training for {path}")
    if FLAGS.start:
        model = keras.models.load_model(FLAGS.start, compile=False)
    else:
        model = build_resnet8(FLAGS.width)
    train(model, augmented(data), FLAGS.float_epochs, FLAGS.float_learning_rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return model


def total_macs(model):
    """Multiply-accumulates of all convolutions and dense layers."""
    q = mltq.quantize_model(model, include_first_layer=True, include_last_layer=True)
    return mltq.summary(q, print_table=False)["total"]["macs"]


def fine_tune(model, teacher, levels, kind, speedup, data):
    """A quantized, pruned and trained model."""
    q = mltq.quantize_model(
        model,
        levels,
        kind=kind,
        include_first_layer=FLAGS.all_layers,
        include_last_layer=FLAGS.all_layers,
        learned_scales=FLAGS.learned_scales,
        refit=FLAGS.refit,
    )
    mltq.calibrate(q, data[0][:256].astype(np.float32))
    callbacks = []
    if speedup > 1:
        end = int(FLAGS.rise * FLAGS.epochs * (len(data[0]) // FLAGS.batch_size))
        schedule = mltq.PolynomialDecay(
            0.3, 1.0 - 1.0 / speedup, 0, end, power=FLAGS.power, frequency=50
        )
        q = mltq.prune_low_magnitude(
            q,
            schedule,
            granularity="bit",
            scope=FLAGS.scope,
            criterion=FLAGS.criterion,
            sparsity_of="work",
        )
        callbacks.append(mltq.UpdatePruningStep())
    trained = q
    if FLAGS.teacher_weight:
        trained = mltq.distill(q, teacher, teacher_weight=FLAGS.teacher_weight)
    train(trained, augmented(data), FLAGS.epochs, FLAGS.learning_rate, callbacks)
    return q


def figures(q, x_test, y_test, own_macs, original_macs):
    """What a trained model scores and costs.

    Additions are those of the layers with levels. The first and the last layer stay int8: their
    multiply-accumulates come on top.
    """
    summary = mltq.summary(q, print_table=False)
    total = summary["total"]
    additions = sum(layer["nonzero_bits"] * layer["positions"] for layer in summary["layers"])
    result = {
        "accuracy": accuracy(q, x_test, y_test),
        "additions": additions,
        "additions_per_mac": additions / original_macs,
        "int8_macs": own_macs - total["macs"],
        **{
            key: total[key]
            for key in (
                "bit_density",
                "word_density",
                "potential_speedup_bit",
                "potential_speedup_word",
                "flash_bytes",
                "entropy_bytes",
                "int8_bytes",
            )
        },
        "level_densities": {
            layer["name"]: [round(density, 4) for density in layer["level_densities"]]
            for layer in summary["layers"]
        },
    }
    if FLAGS.tflm_images:
        interpreter = mltq.Interpreter(mltq.convert(q), runtime="tflm")
        answers = np.argmax(interpreter.predict(x_test[: FLAGS.tflm_images]), 1)
        result["tflm_accuracy"] = float(np.mean(answers == y_test[: FLAGS.tflm_images]))
    return result


def read_results(path):
    """The lines of the results file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def plot(results, path):
    """Accuracy against additions, one curve per levels and kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    curves = {}
    for result in results:
        name = f"M = {result['levels']}, {result['kind']}"
        curves.setdefault(name, []).append((result["additions_per_mac"], result["accuracy"]))
    for name, points in sorted(curves.items()):
        axis.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axis.set_xscale("log")
    axis.set_xlabel("additions per multiply-accumulate of ResNet-8 (log scale)")
    axis.set_ylabel("accuracy on the test images")
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main(_):
    """Runs what is asked for."""
    console = Console()
    keras.utils.set_random_seed(FLAGS.seed)
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    results_path = output / "results.jsonl"
    if FLAGS.plot:
        plot(read_results(results_path), FLAGS.plot)
        return
    x_train, y_train, x_test, y_test = load_data(FLAGS.data)
    data = x_train, y_train
    model = float_model(data, console)
    teacher = keras.models.load_model(FLAGS.teacher, compile=False) if FLAGS.teacher else model
    for name, net in {"float model": model, "teacher": teacher}.items():
        console.print(f"accuracy of the {name}: {accuracy(net, x_test, y_test):.4f}")
    own_macs, original_macs = total_macs(model), total_macs(build_resnet8())
    runs = itertools.product(FLAGS.levels, FLAGS.kinds, FLAGS.speedups)
    for levels, kind, speedup in runs:
        if kind == "binary" and float(speedup) > 1:
            continue  # nothing to prune
        run = {"levels": int(levels), "kind": kind, "speedup": float(speedup)}
        run |= {name: FLAGS[name].value for name in _RUN}
        if any(run.items() <= result.items() for result in read_results(results_path)):
            console.print(f"already in {results_path}: {run}")
            continue
        console.rule(f"M = {levels}, {kind}, {speedup}x")
        keras.utils.set_random_seed(FLAGS.seed)
        start = time.monotonic()
        q = fine_tune(model, teacher, int(levels), kind, float(speedup), data)
        result = run | figures(q, x_test, y_test, own_macs, original_macs)
        result["seconds"] = round(time.monotonic() - start)
        q.save(output / f"m{levels}_{kind}_{speedup}x.keras")
        with results_path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        console.print_json(data=result)


if __name__ == "__main__":
    app.run(main)
