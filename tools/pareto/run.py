"""Trains the networks of the Pareto benchmark, one after another; stopped, it goes on exactly.

    python tools/pareto/run.py --state=FOLDER --data=cifar10.npz --teacher=teacher.keras

--data holds the arrays x_train and y_train of CIFAR-10, --teacher is a Keras classifier of images
in 0..255. FOLDER gets answers/ (the teacher's, made once), runs/ (a checkpoint per network, written
after every epoch) and results.jsonl (a line per finished run). The same command again skips what is
finished and goes on with the rest: days of training, in as many sittings as it takes. runs/ and
results.jsonl are small and are all that has to be kept; answers can be made again.

The test images are not read: validation images choose, and a network that is reported is tested
once, elsewhere. A teacher that was trained on all training images has seen those for validation,
so what they say is good for comparing runs only.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples"))

import keras
import tensorflow as tf
from absl import app, flags

from pareto.batches import EpochBatches
from pareto.checkpoint import load_checkpoint
from pareto.figures import figures
from pareto.image_data import ImageData, load_images
from pareto.networks import float_network, prepare
from pareto.results import Results
from pareto.runs import COPIES, RUNS, VIEWS_SEED
from pareto.teacher_answers import TeacherAnswers, fingerprint
from pareto.trainer import accuracy, train
from pareto.training_run import TrainingRun
from pareto.views import Views

_CALIBRATION_IMAGES = 256

FLAGS = flags.FLAGS
flags.DEFINE_string("state", None, "Folder of answers, checkpoints and results.", required=True)
flags.DEFINE_string("data", None, ".npz file with x_train and y_train.", required=True)
flags.DEFINE_string("teacher", None, "Keras model to distil from.", required=True)
flags.DEFINE_list("only", [], "Names of runs; all by default.")
flags.DEFINE_integer("threads", 2, "Threads to compute with.", lower_bound=1)


def log(line: str) -> None:
    """Prints a line at once, with the time."""
    print(time.strftime("%F %T"), line, flush=True)


def locked(folder: pathlib.Path) -> Any:
    """A lock that is held until the process ends, however it does.

    Raises:
      SystemExit: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another process is training in {folder}.")
    return file


def chosen_runs() -> list[TrainingRun]:
    """The runs that --only names.

    Raises:
      SystemExit: It names one that does not exist.
    """
    names = [run.name for run in RUNS]
    unknown = [name for name in FLAGS.only if name not in names]
    if unknown:
        sys.exit(f"There is no run {', '.join(unknown)}. Those that exist: {', '.join(names)}.")
    return [run for run in RUNS if not FLAGS.only or run.name in FLAGS.only]


def teacher_answers(folder: pathlib.Path, views: Views) -> TeacherAnswers:
    """The teacher's answers to all copies; those that are missing are made."""
    teacher = pathlib.Path(FLAGS.teacher)
    identity = f"{fingerprint(teacher)}, seed {VIEWS_SEED}"
    answers = TeacherAnswers(folder, views, COPIES, identity)
    if answers.missing():
        answers.make(keras.models.load_model(teacher, compile=False).predict_on_batch, log)
    return answers


def checkpoint_path(name: str) -> pathlib.Path:
    """The checkpoint of a run."""
    return pathlib.Path(FLAGS.state) / "runs" / f"{name}.npz"


def start_network(run: TrainingRun, data: ImageData, steps: int) -> Any:
    """The network of a run before its first step.

    Raises:
      SystemExit: The run that it starts from is not finished.
    """
    model = float_network(run)
    if run.start:
        source = next(found for found in RUNS if found.name == run.start)
        done = len(load_checkpoint(checkpoint_path(source.name), source, model))
        if done < source.epochs:
            sys.exit(f"{run.name} starts from {source.name}, which has to be trained first.")
    samples = data.images[data.training[:_CALIBRATION_IMAGES]]
    return prepare(model, run, steps, samples)


def train_and_measure(
    run: TrainingRun, data: ImageData, views: Views, answers: TeacherAnswers
) -> dict[str, Any]:
    """Trains the network of a run, and says what it scores."""
    keras.backend.clear_session()
    validation = data.images[data.validation], data.labels[data.validation]
    steps = run.epochs * (len(data.training) // run.batch_size)
    model = start_network(run, data, steps)
    history = train(
        model,
        run,
        lambda epoch: EpochBatches(data, views, answers, epoch, run.batch_size, run.seed),
        lambda trained: accuracy(trained, *validation),
        checkpoint_path(run.name),
        log,
    )
    seconds = sum(epoch["seconds"] for epoch in history)
    return {**figures(model, run, data), "seconds": round(seconds)}


def main(_: list[str]) -> None:
    """Does all runs that are not finished."""
    state = pathlib.Path(FLAGS.state)
    lock = locked(state)
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(FLAGS.threads)
    runs = chosen_runs()
    (state / "runs").mkdir(exist_ok=True)
    results = Results(state / "results.jsonl")
    left = [run for run in runs if not results.has(run)]
    log(f"{len(left)} of {len(runs)} runs to do")
    data = load_images(pathlib.Path(FLAGS.data))
    views = Views(data.images, VIEWS_SEED)
    answers = teacher_answers(state / "answers", views)
    for run in left:
        result = train_and_measure(run, data, views, answers)
        results.add(run, result)
        log(f"{run.name}: {result}")
    lock.close()


if __name__ == "__main__":
    app.run(main)
