"""The command ``mltq``: finds the command, reads its flags, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from absl import flags

COMMANDS = {
    "convert": "A Keras model to a .tflite with multi-level ternary layers",
    "inspect": "The operators of a .tflite: bits, bytes, predicted instructions",
    "run": "A .tflite on data, on the operators that a microcontroller runs",
    "compare": "Two or more .tflite files on the same data",
    "debug": "Each operator of a .tflite against the Keras model, worst first",
    "benchmark": "A .tflite on this machine and on emulated microcontrollers",
    "export": "A .tflite as C code for a microcontroller",
}
_EXIT_ERROR, _EXIT_USAGE = 1, 2
# The package's own errors are ValueErrors and RuntimeErrors.
_ERRORS = (ValueError, TypeError, OSError, ImportError, RuntimeError)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of the process; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "--helpfull", "help"):
        print(_overview())
        return 0 if arguments else _EXIT_USAGE
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"mltq: unknown command '{name}'.\n\n{_overview()}", file=sys.stderr)
        return _EXIT_USAGE
    command = importlib.import_module(f"tfmot_mltq.command_line.{name}")
    values = flags.FlagValues()
    command.define_flags(values)
    if {"-h", "--help", "--helpfull"} & set(rest):
        assert command.__doc__ is not None
        print(f"{command.__doc__.strip()}\n\nFlags:\n{_flags_help(values)}")
        return 0
    try:
        positional = values([f"mltq {name}", *(_as_absl(values, text) for text in rest)])[1:]
    except flags.Error as error:
        print(f"mltq {name}: {error}\nmltq {name} --help lists the flags.", file=sys.stderr)
        return _EXIT_USAGE
    if not command.FEWEST_FILES <= len(positional) <= command.MOST_FILES:
        print(
            f"mltq {name}: {command.FILES}, got {len(positional)}: {positional}\n"
            f"mltq {name} --help shows examples.",
            file=sys.stderr,
        )
        return _EXIT_USAGE
    try:
        command.run(values, positional)
    except _ERRORS as error:
        print(f"mltq {name}: {error}", file=sys.stderr)
        return _EXIT_ERROR
    return 0


def _as_absl(values: flags.FlagValues, text: str) -> str:
    """An argument; absl writes --noflag where most programs write --no-flag."""
    name = text.removeprefix("--no-")
    return f"--no{name}" if name != text and name in values and values[name].boolean else text


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  mltq {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        ["Multi-level ternary networks for microcontrollers.", "", *lines, "",
         "mltq COMMAND --help shows flags and examples."]
    )  # fmt: skip


def _flags_help(values: flags.FlagValues) -> str:
    """The flags in the order of their definition, without absl's own headings."""
    text = values.get_help(prefix="  ", include_special_flags=False)
    lines = text.splitlines()
    return "\n".join(line[2:] for line in lines if not line.rstrip().endswith(":"))


def console_entry() -> None:
    """What the installed command calls."""
    sys.exit(main())
