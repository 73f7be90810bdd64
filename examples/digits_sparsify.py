"""How sparse the digits of examples/digits.py can be: at bit level, and at word level.

    python examples/digits_sparsify.py --levels=3 --max_accuracy_drop=0.01

Trains the float model, then searches with mltq.sparsify for the highest sparsity whose accuracy on
the test images is at most --max_accuracy_drop below the float one, once by bits and once by words.
Writes the trials, and a report of each result as a page, a picture and data, to --output; a script
that was stopped goes on where it was.
"""

import importlib
import json
import pathlib

import numpy as np
from absl import app, flags, logging
from digits import build_model, train
from digits_data import load_data
from rich.console import Console
from rich.table import Table

import tfmot_mltq as mltq

FLAGS = flags.FLAGS
flags.FLAGS.set_default("output", "build/digits_sparsify")
flags.FLAGS.set_default("levels", 3)
flags.FLAGS.set_default("fine_tune_epochs", 60)
flags.DEFINE_float("max_accuracy_drop", 0.01, "How much accuracy may be lost.")
flags.DEFINE_list("granularities", ["bit", "word"], "bit, word.")


def float_model(keras, path, console):
    """The trained float model."""
    if path.exists():
        return keras.models.load_model(path)
    x_train, _, y_train, _ = load_data()
    model = build_model(keras)
    train(keras, model, (x_train, y_train), FLAGS.epochs, 3e-3, console, "float")
    model.save(path)
    return model


def search(keras, model, granularity, output, console):
    """The sparsest model that is good enough, and its report."""
    x_train, x_test, y_train, y_test = load_data()

    def accuracy(net):
        return float(np.mean(np.argmax(net.predict(x_test, verbose=0), 1) == y_test))

    def train_pruned(pruned, callbacks):
        keras.utils.set_random_seed(FLAGS.seed)
        epochs, rate = FLAGS.fine_tune_epochs, 3e-3
        trained = mltq.distill(pruned, model, teacher_weight=0.5)
        data = x_train, y_train
        train(keras, trained, data, epochs, rate, console, granularity, callbacks)

    q = mltq.quantize_model(model, levels=FLAGS.levels)
    mltq.calibrate(q, x_train)
    found = mltq.sparsify(
        q,
        train_pruned,
        accuracy,
        FLAGS.max_accuracy_drop,
        granularity,
        reference_accuracy=accuracy(model),
        scope="global",
        criterion="relative_error_per_work",
        sparsity_of="work",
        directory=output / granularity,
        console=console,
    )
    for suffix in (".html", ".png", ".json"):
        mltq.write_report(found.model, output / f"{granularity}{suffix}", x_test, found)
    return found


def main(_):
    """Runs the searches."""
    console = Console()
    logging.set_verbosity(logging.ERROR)
    keras = importlib.import_module(FLAGS.keras)
    keras.utils.set_random_seed(FLAGS.seed)
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    model = float_model(keras, output / "float.keras", console)
    table = Table(title=f"Digits, {FLAGS.levels} levels")
    for heading in ("pruned", "accuracy", "float", "bits left", "bit level", "word level", "bytes"):
        table.add_column(heading, justify="right")
    results = {}
    for granularity in FLAGS.granularities:
        found = search(keras, model, granularity, output, console)
        results[granularity] = found.to_dict()
        if found.best is not None:
            total = found.best.total
            table.add_row(
                granularity,
                f"{found.best.accuracy:.2%}",
                f"{found.reference_accuracy:.2%}",
                f"{total['bit_density']:.2%}",
                f"{total['potential_speedup_bit']:.1f}x",
                f"{total['potential_speedup_word']:.1f}x",
                f"{total['flash_bytes']:,} of {total['int8_bytes']:,}",
            )
    (output / "result.json").write_text(json.dumps(results, indent=2) + "\n")
    console.print(table)


if __name__ == "__main__":
    app.run(main)
