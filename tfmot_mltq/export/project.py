"""A folder of generated files and of C sources, written as a whole or not at all."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2

from tfmot_mltq.export.c_code import array_body
from tfmot_mltq.export.golden import Golden

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_NAMES_HEADER = "mltq_names.h"
_STATUS_MESSAGE = "mltq_status_message"
_NO_COMMENT = re.compile(r"[^\w .,:;/+@#()\[\]-]")
# Functions and constants; what a dot follows is a file.
_NAME = re.compile(r"\bmltq_\w+\b(?!\.[ch])")
_GOLDEN_TYPES = {"int8": "int8_t", "float32": "float", "int32": "int32_t"}


@dataclasses.dataclass(frozen=True)
class Project:
    """A project, planned and not yet written.

    Attributes:
      name: Prefix of its functions.
      arena_bytes: Memory for tensors and scratch.
      constant_bytes: Weights and tables.
      sources: C sources that it needs, by folder.
      generated_sources: Texts of others, that are written for it, by folder and name.
      templates: The generated files, each with its template.
      context: What the templates use.
      needs_interpreter: Whether it is built with TensorFlow Lite Micro.
      folder: Where its code goes, with a slash at the end.
    """

    name: str
    arena_bytes: int
    constant_bytes: int
    sources: Mapping[str, Sequence[pathlib.Path]]
    templates: Mapping[str, str]
    context: Mapping[str, Any]
    generated_sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs_interpreter: bool = False
    folder: str = ""

    def write(
        self,
        output: pathlib.Path,
        golden: Golden,
        check: Callable[[pathlib.Path], None] = lambda folder: None,
    ) -> None:
        """Writes the folder.

        Args:
          output: Folder to make.
          golden: Inputs of the model, and the outputs for them, for the self-test.
          check: Called with the folder of the code before it is where it belongs; when it raises,
            nothing is left behind.

        Raises:
          FileExistsError: The folder is there.
        """
        if output.exists():
            raise FileExistsError(f"{output} already exists; choose another folder.")
        context = {**self.context, "golden": _golden_arrays(golden), "array_body": array_body}
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters["comment"] = _comment
        parent = output.absolute().parent
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".{output.name}.") as folder:
            made = pathlib.Path(folder) / output.name
            self._write_sources(made / self.folder / "mltq")
            for file, template in self.templates.items():
                path = made / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(environment.get_template(template).render(context))
            check(made / self.folder)
            made.replace(output)

    def _write_sources(self, folder: pathlib.Path) -> None:
        """The operators. Their functions and constants get the prefix of the model by a header that
        every source begins with, so that programs can have several models.
        """
        texts = {
            f"{part}/{path.name}": path.read_text()
            for part, paths in self.sources.items()
            for path in paths
        } | dict(self.generated_sources)
        names = sorted({name for text in texts.values() for name in _NAME.findall(text)})
        for file, text in texts.items():
            is_source = file.endswith(".c")
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'#include "../{_NAMES_HEADER}"\n{text}' if is_source else text)
        own = {_STATUS_MESSAGE: _STATUS_MESSAGE.removeprefix("mltq_")}  # users call it
        lines = [f"#define {name} {self.name}_{own.get(name, name)}\n" for name in names]
        guard = f"MLTQ_EXPORT_{self.name.upper()}_NAMES_H_"
        head = "/* The operators of this model: other models in a program have their own. */\n"
        head += f"#ifndef {guard}\n#define {guard}\n\n"
        (folder / _NAMES_HEADER).write_text(f"{head}{''.join(lines)}\n#endif /* {guard} */\n")


def _golden_arrays(golden: Golden) -> dict[str, list[tuple[str, list[Any]]]]:
    """Types and values, by end."""
    return {
        end: [(_GOLDEN_TYPES[array.dtype.name], list(array.reshape(-1))) for array in arrays]
        for end, arrays in zip(("input", "output"), golden, strict=True)
    }


def _comment(text: str) -> str:
    """A name of a file or a model for a comment: nothing in it may end the comment."""
    return _NO_COMMENT.sub("_", text)


def check_name(name: str) -> str:
    """The name, if C code can be named like that.

    Raises:
      ValueError: It is not an identifier in lower case.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"The name must be a C identifier in lower case, got {name!r}.")
    return name
