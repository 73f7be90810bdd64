"""Constants and calls of generated C code."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfmot_mltq.export.fixed_point import FixedPoint

_COLUMNS = 100
_VALUES_A_LINE = {"MltqFixedPoint": 4, "MltqFastFactor": 4, "MltqBetween": 6}


@dataclasses.dataclass(frozen=True)
class Array:
    """A constant array; numbers, or structs as tuples and ``FixedPoint``."""

    name: str
    c_type: str
    values: Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Struct:
    """A constant of a struct type, passed by its address. Fields are numbers, ``FixedPoint``, lists
    of them, arrays, other structs (by their address), or None for a null pointer.
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
    """Where a tensor of the model is read, from a value on."""

    tensor: int
    begin: int = 0


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a tensor of the model is written, from a value on."""

    tensor: int
    begin: int = 0


@dataclasses.dataclass(frozen=True)
class State:
    """A variable of the model: it lives from one run to the next."""

    tensor: int


@dataclasses.dataclass(frozen=True)
class Layer:
    """The packed layer of this step, and its shapes."""


@dataclasses.dataclass(frozen=True)
class Scratch:
    """Memory that this step alone uses."""


Place = Source | Target | State | Layer | Scratch
Constant = Array | Struct | Factor
Argument = int | float | np.floating | Constant | Place


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a C function; of one that can fail, generated code returns the status."""

    function: str
    arguments: tuple[Argument, ...]
    can_fail: bool = False


class Code:
    """The code of calls that belong together; a constant that several use is there once.

    Args:
      calls: In order.
      prefix: Of the names of constants.
      place: C expressions of the arguments that are places in memory.
    """

    def __init__(self, calls: Sequence[Call], prefix: str, place: Callable[[Place], str]) -> None:
        self._prefix, self._place = prefix, place
        self._names: dict[int, str] = {}
        self._taken: dict[str, int] = {}
        self.constants: list[str] = []
        self.calls = [self._call(call) for call in calls]

    def _call(self, call: Call) -> str:
        # Spaces within an argument must not break, so that they do not look like its end.
        arguments = ", ".join(self._expression(a).replace(" ", "\0") for a in call.arguments)
        store = "status = " if call.can_fail else ""
        lines = textwrap.wrap(
            f"{store}{call.function}({arguments});", _COLUMNS, initial_indent="  ",
            subsequent_indent="      ", break_long_words=False,
        )  # fmt: skip
        if call.can_fail:
            lines.append("  if (status != MLTQ_OK) return status;")
        return "\n".join(lines).replace("\0", " ")

    def _expression(self, argument: Argument) -> str:
        if isinstance(argument, Struct):
            return f"&{self._name(argument)}"
        if isinstance(argument, (Array, Factor)):
            return self._name(argument)
        if isinstance(argument, (int, float, np.floating)):
            return initializer(argument)
        return self._place(argument)

    def _name(self, constant: Constant) -> str:
        """Its name; declares it the first time."""
        if id(constant) not in self._names:
            wanted = self._prefix + constant.name
            number = self._taken.setdefault(wanted, 0)
            self._taken[wanted] += 1
            name = f"{wanted}_{number}" if number else wanted
            self._names[id(constant)] = name
            self.constants.append(self._declaration(constant, name))
        return self._names[id(constant)]

    def _declaration(self, constant: Constant, name: str) -> str:
        if isinstance(constant, Factor):
            return f"static const MltqFixedPoint {name} = {initializer(constant.value)};"
        if isinstance(constant, Array):
            body = array_body(constant.values, _VALUES_A_LINE.get(constant.c_type, 20))
            head = f"static const {constant.c_type} {name}[{len(constant.values)}]"
            return f"{head} = {{\n{body}}};"
        texts = {
            key: self._expression(value)
            if isinstance(value, (Array, Struct))
            else initializer(value)
            for key, value in constant.fields.items()
        }
        fields = "".join(f"    .{key} = {text},\n" for key, text in texts.items())
        return f"static const {constant.c_type} {name} = {{\n{fields}}};"


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


def float_literal(value: float | np.floating) -> str:
    """The shortest literal that gives the same float of 32 bits."""
    text = str(np.float32(value))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def array_body(values: Sequence[Any], a_line: int = 20) -> str:
    """The lines between the braces of an array."""
    texts = [initializer(value) for value in values]
    lines = [", ".join(texts[i : i + a_line]) for i in range(0, len(texts), a_line)]
    return "".join(f"    {line},\n" for line in lines)
