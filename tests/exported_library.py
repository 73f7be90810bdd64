"""Exported C code as a shared library of this process, to compare every output on any input."""

import ctypes
import subprocess

import numpy as np

from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import golden_outputs, random_inputs
from tfmot_mltq.export.layouts import LAYOUTS
from tfmot_mltq.runtime.interpreter import Interpreter

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-O1", "-g"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
DTYPES = {"int8_t": np.int8, "float": np.float32}


class ExportedLibrary:
    """The exported code of a model.

    Attributes:
      project: As it was planned.
      interpreter: TensorFlow Lite Micro with the same model.
    """

    def __init__(self, tflite, folder, name="model"):
        self.interpreter = Interpreter(tflite)
        self.project = LAYOUTS["c"](plan_c_project(tflite, name=name), name)
        self.tflite, self.folder, self.name = tflite, folder, name
        self.project.write(folder, golden_outputs(self.interpreter, random_inputs(tflite)))
        sources = [str(path) for path in folder.rglob("*.c") if path.name != f"{name}_main.c"]
        library = folder / "model.so"
        command = ["cc", *FLAGS, "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fPIC"]
        command += ["-Wno-error=shadow", "-Wno-shadow"]
        subprocess.run([*command, "-shared", *sources, "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))

    def run_self_test(self):
        """With sanitizers."""
        program = self.folder / "program"
        command = ["cc", *FLAGS, "-Wno-shadow", *SANITIZERS, *map(str, self.folder.rglob("*.c"))]
        subprocess.run([*command, "-o", str(program)], check=True)
        done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "self-test: ok\n"), done.stderr

    def run(self, inputs):
        """The outputs of the exported code."""
        context = self.project.context
        memory = (ctypes.c_uint64 * (self.project.arena_bytes // 8 + 4096))()
        assert self._function("init", ctypes.c_int)(memory) == 0
        for value, end in zip(inputs, context["inputs"], strict=True):
            place = self._function(f"input{end['suffix']}", ctypes.c_void_p)(memory)
            value = np.ascontiguousarray(value, DTYPES[end["c_type"]])
            ctypes.memmove(place, value.ctypes.data, value.nbytes)
        self._function("run", None)(memory)
        found = []
        for end in context["outputs"]:
            place = self._function(f"output{end['suffix']}", ctypes.c_void_p)(memory)
            value = np.empty(end["tensor"].shape, DTYPES[end["c_type"]])
            ctypes.memmove(value.ctypes.data, place, value.nbytes)
            found.append(value)
        return found

    def _function(self, name, result):
        function = getattr(self._library, f"{self.name}_{name}")
        function.restype = result
        return lambda memory: function(ctypes.byref(memory))
