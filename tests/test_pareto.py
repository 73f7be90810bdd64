"""The long training of the Pareto benchmark: fixed views, kept answers, exact resumption."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from pareto import runs
from pareto.batches import EpochBatches
from pareto.checkpoint import load_checkpoint
from pareto.distillation_loss import distillation_loss
from pareto.image_data import split_images
from pareto.networks import prepare
from pareto.results import Results
from pareto.teacher_answers import TeacherAnswers
from pareto.trainer import accuracy, train
from pareto.training_run import TrainingRun
from pareto.views import Views

import tfmot_mltq as mltq

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (80, 8, 8, 3), np.uint8)
DATA = split_images(IMAGES, RNG.integers(0, 10, (80, 1)))
RUN = TrainingRun("tiny", 1.0, levels=2, speedup=4.0, epochs=4, batch_size=16)


def views(seed=1):
    return Views(IMAGES, seed)


def soft_answers(images):
    """A teacher."""
    logits = images.reshape(len(images), -1)[:, :10] / 64
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def quiet(_):
    """Takes a line of a report."""


@pytest.fixture
def answers(tmp_path):
    made = TeacherAnswers(tmp_path / "answers", views(), 4, "a teacher")
    made.make(soft_answers, quiet)
    return made


class Killed(Exception):
    """What ends a training early."""


class Training:
    """A training of a small network, which can be killed within an epoch."""

    def __init__(self, folder, answers):
        self.path = folder / "tiny.npz"
        self.answers = answers

    def model(self, run=RUN, filters=8):
        keras.utils.set_random_seed(run.seed)
        layers = keras.layers
        stack = [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.ReLU()]
        stack += [layers.Conv2D(8, 3), layers.ReLU(), layers.Flatten()]
        outputs = layers.Dense(10, activation="softmax")
        network = keras.Sequential([keras.Input((8, 8, 3)), *stack, outputs])
        return prepare(network, run, run.epochs * 4, IMAGES)

    def run(self, killed_in=None, run=RUN):
        def batches(epoch):
            found = EpochBatches(DATA, views(), self.answers, epoch, run.batch_size, run.seed)
            if epoch == killed_in:
                found.__class__ = KilledBatches
            return found

        model = self.model(run)
        history = train(model, run, batches, lambda _: 0.5, self.path, quiet)
        return model, history


class KilledBatches(EpochBatches):
    """Batches of which the third does not come."""

    def __getitem__(self, index):
        if index == 2:
            raise Killed
        return super().__getitem__(index)


def test_copies_are_mirrored_in_pairs_and_depend_on_nothing_else():
    every = np.arange(80)
    copies = [views().batch(copy, every) for copy in range(4)]
    np.testing.assert_array_equal(copies[0], copies[1][:, :, ::-1])
    np.testing.assert_array_equal(copies[2], copies[3][:, :, ::-1])
    assert not np.array_equal(copies[0], copies[2])
    again = views()
    again.batch(3, every)
    np.testing.assert_array_equal(again.batch(0, every[[7, 3]]), copies[0][[7, 3]])
    assert not np.array_equal(views(seed=2).batch(0, every), copies[0])


def test_split_leaves_no_image_out():
    assert len(DATA.validation) == 8
    assert sorted([*DATA.training, *DATA.validation]) == list(range(80))


def test_epochs_differ_in_order_and_repeat_exactly(answers):
    def batch(epoch, seed=1):
        return EpochBatches(DATA, views(), answers, epoch, 16, seed)[0]

    for first, second in zip(batch(2), batch(2), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(batch(0)[0], batch(4)[0])
    assert not np.array_equal(batch(0)[0], batch(0, seed=2)[0])


def test_answers_are_made_once_and_averaged_over_mirror_images(tmp_path, answers):
    asked = []

    def teacher(images):
        asked.append(len(images))
        return soft_answers(images)

    (tmp_path / "answers" / "copy_002.npy").unlink()
    again = TeacherAnswers(tmp_path / "answers", views(), 4, "a teacher")
    assert again.missing() == [2]
    again.make(teacher, quiet)
    assert sum(asked) == 80
    every = np.arange(80)
    mean = sum(soft_answers(views().batch(copy, every).astype(np.float32)) for copy in (2, 3)) / 2
    for copy in (2, 3):
        np.testing.assert_allclose(again.of_copy(copy), mean, atol=1e-3)
    with pytest.raises(ValueError, match="another teacher"):
        TeacherAnswers(tmp_path / "answers", views(), 4, "another")
    with pytest.raises(ValueError, match="even"):
        TeacherAnswers(tmp_path / "answers", views(), 3, "a teacher")


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_loss_is_that_of_distill(temperature):
    layers = [keras.Input((6,)), keras.layers.Dense(10, activation="softmax")]
    student, teacher = (keras.Sequential(layers) for _ in range(2))
    teacher = keras.models.clone_model(teacher)
    x = RNG.normal(size=(12, 6)).astype(np.float32)
    labels = np.eye(10, dtype=np.float32)[RNG.integers(0, 10, 12)]
    distiller = mltq.distill(student, teacher, temperature, teacher_weight=0.7)
    distiller.compile(loss="categorical_crossentropy")
    expected = distiller.compute_loss(x=x, y=labels, y_pred=student(x))
    targets = np.concatenate([teacher(x), labels], 1)
    found = np.mean(distillation_loss(0.7, temperature)(targets, student(x)))
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_killed_training_goes_on_exactly(tmp_path, answers):
    whole, history = Training(tmp_path, answers).run()
    (tmp_path / "tiny.npz").unlink()
    with pytest.raises(tf.errors.UnknownError, match="Killed"):
        Training(tmp_path, answers).run(killed_in=2)
    # Another run may look at the weights, which do not need the optimizer.
    assert (
        len(load_checkpoint(tmp_path / "tiny.npz", RUN, Training(tmp_path, answers).model())) == 2
    )
    resumed, resumed_history = Training(tmp_path, answers).run()
    assert len(history) == len(resumed_history) == 4
    assert [epoch["loss"] for epoch in history] == [epoch["loss"] for epoch in resumed_history]
    for expected, found in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=expected.path)
    assert mltq.summary(resumed, print_table=False)["total"]["bit_density"] < 0.3
    loaded = Training(tmp_path, answers).model()
    assert len(load_checkpoint(tmp_path / "tiny.npz", RUN, loaded)) == 4
    images = IMAGES[DATA.validation]
    assert accuracy(loaded, images, np.argmax(resumed.predict(images, verbose=0), 1)) == 1.0


def test_checkpoints_of_something_else_are_refused(tmp_path, answers):
    short = dataclasses.replace(RUN, levels=0, speedup=1.0, epochs=1)
    training = Training(tmp_path, answers)
    training.run(run=short)
    with pytest.raises(ValueError, match="differs in seed, temperature"):
        load_checkpoint(
            training.path,
            dataclasses.replace(short, seed=2, temperature=2.0),
            training.model(short),
        )
    with pytest.raises(ValueError, match="another network"):
        load_checkpoint(training.path, short, training.model(short, filters=6))
    training.path.write_bytes(training.path.read_bytes()[:200])
    with pytest.raises(ValueError, match="no checkpoint"):
        load_checkpoint(training.path, short, training.model(short))


def test_results_are_kept_by_name(tmp_path):
    results = Results(tmp_path / "results.jsonl")
    assert not results.has(RUN)
    results.add(RUN, {"validation_accuracy": 0.5})
    assert results.has(RUN)
    assert not results.has(dataclasses.replace(RUN, name="other"))
    with pytest.raises(ValueError, match="differs in epochs"):
        results.has(dataclasses.replace(RUN, epochs=9))
    assert results.read()[0]["validation_accuracy"] == 0.5


def test_runs_start_from_what_is_trained_before():
    names = [run.name for run in runs.RUNS]
    assert len(set(names)) == len(names)
    assert len({run.epochs for run in runs.RUNS}) == 1
    for index, run in enumerate(runs.RUNS):
        assert run.start is None or run.start in names[:index]
