"""Constants and calls of generated C code."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfmot_mltq.export.fixed_point import FixedPoint

_COLUMNS = 100
_VALUES_A_LINE = {"MltqFixedPoint": 4, "MltqBetween": 6}


@dataclasses.dataclass(frozen=True)
class Array:
    """A constant array; numbers, or structs as tuples and ``FixedPoint``."""

    name: str
    c_type: str
    values: Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Struct:
    """A constant of a struct type, passed by its address. Fields are numbers, ``FixedPoint``, lists
    of them, arrays, or None for a null pointer.
    """

    name: str
    c_type: str
    fields: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Factor:
    """A constant of fixed point, passed by its value."""

    name: str
    value: FixedPoint


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a tensor of the model is read."""

    tensor: int


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a tensor of the model is written."""

    tensor: int


@dataclasses.dataclass(frozen=True)
class Layer:
    """The packed layer of this step, and its shapes."""


@dataclasses.dataclass(frozen=True)
class Scratch:
    """Memory that this step alone uses."""


Place = Source | Target | Layer | Scratch
Argument = int | float | Array | Struct | Factor | Place


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a C function."""

    function: str
    arguments: tuple[Argument, ...]

    def declarations(self, prefix: str) -> list[str]:
        """The constants that it uses, in order; their names begin with ``prefix``."""
        found: list[str] = []
        for argument in self.arguments:
            if isinstance(argument, Struct):
                arrays = [v for v in argument.fields.values() if isinstance(v, Array)]
                found += [_declare_array(prefix, array) for array in arrays]
                found.append(_declare_struct(prefix, argument))
            elif isinstance(argument, Array):
                found.append(_declare_array(prefix, argument))
            elif isinstance(argument, Factor):
                text = f"{prefix}{argument.name} = {initializer(argument.value)};"
                found.append(f"static const MltqFixedPoint {text}")
        return found

    def text(self, prefix: str, place: Callable[[Place], str]) -> str:
        """The call.

        Args:
          prefix: Of its constants.
          place: C expressions of the arguments that are places in memory.
        """

        def expression(argument: Argument) -> str:
            if isinstance(argument, Struct):
                return f"&{prefix}{argument.name}"
            if isinstance(argument, (Array, Factor)):
                return prefix + argument.name
            if isinstance(argument, (int, float, np.floating)):
                return initializer(argument)
            return place(argument)

        # Spaces within an argument must not break, so that they do not look like its end.
        arguments = ", ".join(expression(a).replace(" ", "\0") for a in self.arguments)
        lines = textwrap.wrap(
            f"{self.function}({arguments});", _COLUMNS, initial_indent="  ",
            subsequent_indent="      ", break_long_words=False,
        )  # fmt: skip
        return "\n".join(lines).replace("\0", " ")


def initializer(value: Any) -> str:
    """A value as C writes it in an initializer."""
    if value is None:
        return "NULL"
    if isinstance(value, FixedPoint):
        return f"{{{value.multiplier}, {value.shift}}}"
    if isinstance(value, (list, tuple)):
        return f"{{{', '.join(map(initializer, value))}}}"
    if isinstance(value, (float, np.floating)):
        return float_literal(value)
    return str(int(value))


def float_literal(value: float) -> str:
    """The shortest literal that gives the same float of 32 bits."""
    text = str(np.float32(value))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def array_body(values: Sequence[Any], a_line: int = 20) -> str:
    """The lines between the braces of an array."""
    texts = [initializer(value) for value in values]
    lines = [", ".join(texts[i : i + a_line]) for i in range(0, len(texts), a_line)]
    return "".join(f"    {line},\n" for line in lines)


def _declare_array(prefix: str, array: Array) -> str:
    body = array_body(array.values, _VALUES_A_LINE.get(array.c_type, 20))
    head = f"static const {array.c_type} {prefix}{array.name}[{len(array.values)}]"
    return f"{head} = {{\n{body}}};"


def _declare_struct(prefix: str, struct: Struct) -> str:
    def text(value: Any) -> str:
        return prefix + value.name if isinstance(value, Array) else initializer(value)

    fields = "".join(f"    .{key} = {text(value)},\n" for key, value in struct.fields.items())
    return f"static const {struct.c_type} {prefix}{struct.name} = {{\n{fields}}};"
