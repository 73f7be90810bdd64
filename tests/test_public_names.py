"""What editors see of the package is what there is."""

import ast
import importlib
import pathlib
import sys

import pytest

import tfmot_mltq as mltq
from tfmot_mltq.helpers import moved_modules

STUB = pathlib.Path(mltq.__file__).with_suffix(".pyi")
IMPORTED = {
    alias.name: node.module
    for node in ast.parse(STUB.read_text()).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def test_the_stub_has_every_public_name():
    assert sorted(IMPORTED) == sorted(mltq.__all__)


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_the_stub_says_where_a_name_is(name):
    assert getattr(importlib.import_module(IMPORTED[name]), name) is getattr(mltq, name)


def test_the_package_says_that_it_is_typed():
    assert STUB.with_name("py.typed").exists()


@pytest.mark.parametrize("old", moved_modules.MOVED)
def test_modules_are_found_by_the_names_that_they_had(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} is tfmot_mltq"):
        module = importlib.import_module(old)
    new = importlib.import_module(moved_modules.MOVED[old])
    assert module is new
    assert module.__name__ == module.__spec__.name == moved_modules.MOVED[old]
