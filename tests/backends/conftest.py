"""Tests that run once per Keras backend, each in a process of its own: see tests/test_backends.py.

By hand: KERAS_BACKEND=jax python -m pytest tests/backends
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two devices, for the tests of data parallelism; fast compilation, as nothing runs for long.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
)

import importlib
import pathlib

import keras as keras3
import pytest

BACKEND = keras3.backend.backend()
# tf_keras stands beside Keras 3 where TensorFlow is the backend.
FRAMEWORKS = ["keras", "tf_keras"] if BACKEND == "tensorflow" else ["keras"]

if BACKEND == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_addoption(parser):
    parser.addoption("--models", help="Folder for the models that the contract trains.")


@pytest.fixture(scope="session")
def models_folder(request, tmp_path_factory):
    given = request.config.getoption("--models")
    return pathlib.Path(given) if given else tmp_path_factory.mktemp("models")


@pytest.fixture(params=FRAMEWORKS)
def keras(request):
    module = importlib.import_module(request.param)
    module.utils.set_random_seed(11)
    return module
