"""Our schedules are TFMOT's."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_model_optimization.sparsity import keras as sparsity

import tfmot_mltq as mltq
from tfmot_mltq.pruning.schedule import as_schedule

SCHEDULES = {
    "ConstantSparsity": (0.8, 3, 40, 5),
    "PolynomialDecay": (0.25, 0.9, 2, 42, 3, 5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_steps_and_sparsities_are_those_of_tfmot(name):
    theirs = getattr(sparsity, name)(*SCHEDULES[name])
    ours = as_schedule(theirs)
    assert ours == getattr(mltq, name)(*SCHEDULES[name])
    for step in range(60):
        updates, value = theirs(tf.constant(step, tf.int64))
        # TFMOT forgets the last step where the frequency does not meet it.
        assert ours.updates(step) == (bool(updates) or step == ours.end_step)
        assert ours.sparsity(step) == pytest.approx(float(value), abs=1e-6)
    assert ours.last_sparsity == ours.sparsity(ours.end_step)


def test_endless_schedule():
    schedule = mltq.ConstantSparsity(0.5, 10, frequency=7)
    assert [step for step in range(40) if schedule.updates(step)] == [10, 17, 24, 31, 38]


def test_numpy_numbers_are_saved_as_plain_ones():
    config = mltq.PolynomialDecay(0.1, np.float32(0.5), 0, np.int32(10)).get_config()
    assert {type(value) for value in config["config"].values()} <= {int, float}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ConstantSparsity", (1.0, 0), "target_sparsity must be from 0 to below 1"),
        ("PolynomialDecay", (-0.1, 0.5, 0, 10), "initial_sparsity must be"),
        ("PolynomialDecay", (0.1, float("nan"), 0, 10), "final_sparsity must be"),
        ("PolynomialDecay", (0.1, 0.5, 0, -1), "end_step must not be before"),
        ("ConstantSparsity", (0.5, 10, 5), "end_step must not be before"),
        ("ConstantSparsity", (0.5, -1), "begin_step must not be negative"),
        ("ConstantSparsity", (0.5, 0, -1, 0), "frequency must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(mltq, name)(*arguments)


@pytest.mark.parametrize("value", [0.5, None, {"class_name": "Cosine", "config": {}}])
def test_other_objects_are_refused(value):
    with pytest.raises(ValueError, match="pruning_schedule must be a ConstantSparsity or Poly"):
        as_schedule(value)
