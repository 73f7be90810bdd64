"""What `make test` runs: every test but those that this file leaves to `make test-all`."""

import dataclasses
import fnmatch
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parent
COLLECTED = pytest.StashKey()
NONE = ()

# By file and test: the parameters that `make test` runs it with, as patterns of their ids. The
# others are marked `thorough`. Each subsystem keeps a representative: a test of its usual path,
# one framework, one core of a family, a layer of each kind.
QUICK: dict[str, dict[str, tuple[str, ...]]] = {}


@dataclasses.dataclass(frozen=True)
class Collected:
    """A test: its file under tests/, its name (Class::name), its parameters' id."""

    file: str
    name: str
    id: str
    thorough: bool


def matches(text, patterns):
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def mark_thorough(items):
    """Marks what is left to `make test-all`; returns all that was collected."""
    return [_mark(item) for item in items]


def _mark(item):
    file = item.path.relative_to(TESTS).as_posix()
    name, _, parameters = item.nodeid.partition("::")[2].partition("[")
    found = Collected(file, name, parameters.removesuffix("]"), thorough=False)
    for test, ids in QUICK.get(file, {}).items():
        if matches(name, [test]) and not matches(found.id, ids):
            item.add_marker(pytest.mark.thorough)
            return dataclasses.replace(found, thorough=True)
    return found
