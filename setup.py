"""Builds the operator library with the package; everything else is in pyproject.toml."""

import glob
import os
import pathlib
import shutil

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

_PARTS = ("core", "tflm", "litert", "host")
# What mltq export copies into projects, and what mltq benchmark adds to them.
_PACKAGED_PARTS = ("core", "stock", "tflm", "device")


class BuildOperators(build_ext):
    """build_ext that says what to install when there is no compiler."""

    def build_extensions(self) -> None:
        """Compiles the library."""
        try:
            super().build_extensions()
        except Exception as error:
            raise SystemExit(
                f"tfmot_mltq: the C operators could not be compiled: {error}\n"
                "The package builds them with the machine's C compiler. Install one "
                "(Debian, Ubuntu: apt-get install build-essential; macOS: xcode-select --install) "
                "and run pip install again."
            ) from error


class CopySources(build_py):
    """build_py that takes the C sources along, for mltq export and mltq benchmark."""

    def run(self) -> None:
        """Copies modules, then sources; an editable package reads them where they are."""
        super().run()
        if self.editable_mode:
            return
        for part in _PACKAGED_PARTS:
            folder = pathlib.Path(self.build_lib, "tfmot_mltq", "tflite_ops", part)
            folder.mkdir(parents=True, exist_ok=True)
            patterns = (f"tflite_ops/{part}/*.[ch]", f"tflite_ops/{part}/*.ld")
            for source in sorted(path for pattern in patterns for path in glob.glob(pattern)):
                shutil.copy(source, folder)


setup(
    ext_modules=[
        # No Python module: a plain shared library that TensorFlow Lite Micro's and LiteRT's
        # Python packages load. As an extension it is compiled and shipped for each platform.
        Extension(
            "tfmot_mltq.runtime._mltq_ops",
            sources=sorted(
                source for part in _PARTS for source in glob.glob(f"tflite_ops/{part}/*.c")
            ),
            depends=sorted(
                header
                for part in (*_PARTS, "stock")
                for header in glob.glob(f"tflite_ops/{part}/*.h")
            ),
            libraries=["m"],
            extra_compile_args=[
                "-std=c99",
                "-O3",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-Wconversion",
                *(["-Werror"] if os.environ.get("MLTQ_WERROR") else []),
            ],
        )
    ],
    cmdclass={"build_ext": BuildOperators, "build_py": CopySources},
)
