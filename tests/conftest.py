"""Shared helpers. TensorFlow is imported once per test process."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import selection
from backend_runs import BackendRuns
from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("ci")


@pytest.fixture
def rng():
    return np.random.default_rng(1234)


@pytest.fixture(scope="session")
def thorough(pytestconfig):
    """Whether the thorough tests run, too: for a test that does more of the same then."""
    return "not thorough" not in pytestconfig.option.markexpr


@pytest.fixture(scope="session")
def backend_runs(tmp_path_factory, worker_id, thorough):
    base = tmp_path_factory.getbasetemp()
    return BackendRuns(base if worker_id == "master" else base.parent, thorough)


@pytest.hookimpl(tryfirst=True)  # before tests are deselected by their markers
def pytest_collection_modifyitems(config, items):
    """The long runs of the backends first, and what reads their models last: nobody waits."""
    config.stash[selection.COLLECTED] = selection.mark_thorough(items)

    def place(item):
        if "backend_runs" not in item.fixturenames:
            return 1
        return 0 if item.path.name == "test_backends.py" else 2

    items.sort(key=place)
