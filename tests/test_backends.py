"""Keras 3 on every backend: the tests in tests/backends pass on each."""

import re

import pytest
from backend_runs import BACKENDS


@pytest.mark.parametrize("backend", BACKENDS)
def test_keras_on(backend, backend_runs):
    code, output = backend_runs.report(backend)
    assert code == 0, output[-6000:]
    assert int(re.search(r"(\d+) passed", output)[1]) >= 40
