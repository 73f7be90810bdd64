"""A folder of generated files and of C sources, written as a whole or not at all."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

_TEMPLATES = pathlib.Path(__file__).parent / "templates"


@dataclasses.dataclass(frozen=True)
class Project:
    """A project, planned and not yet written.

    Attributes:
      arena_bytes: Memory for tensors and scratch.
      constant_bytes: Weights and tables.
      sources: C sources that it needs, by folder.
      templates: The generated files, each with its template.
      context: What the templates use.
      needs_interpreter: Whether it is built with TensorFlow Lite Micro.
      folder: Where its code goes, with a slash at the end.
    """

    arena_bytes: int
    constant_bytes: int
    sources: Mapping[str, Sequence[pathlib.Path]]
    templates: Mapping[str, str]
    context: Mapping[str, Any]
    needs_interpreter: bool = False
    folder: str = ""

    def write(self, output: pathlib.Path, golden: tuple[np.ndarray, np.ndarray]) -> None:
        """Writes the folder.

        Args:
          output: Folder to make.
          golden: An int8 input of the model, and the output for it, for the self-test.

        Raises:
          FileExistsError: The folder is there.
        """
        if output.exists():
            raise FileExistsError(f"{output} is there already; choose another folder.")
        names = ("golden_input", "golden_output")
        arrays = (array.reshape(-1).tolist() for array in golden)
        context = {**self.context, **dict(zip(names, arrays, strict=True))}
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
        )
        parent = output.absolute().parent
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".{output.name}.") as folder:
            made = pathlib.Path(folder) / output.name
            for part, paths in self.sources.items():
                sources = made / self.folder / "mltq" / part
                sources.mkdir(parents=True)
                for path in paths:
                    shutil.copy(path, sources)
            for file, template in self.templates.items():
                path = made / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(environment.get_template(template).render(context))
            made.replace(output)


def check_name(name: str) -> str:
    """The name, if C code can be named like that.

    Raises:
      ValueError: It is no identifier in lower case.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"The name must be a C identifier in lower case, got {name!r}.")
    return name
