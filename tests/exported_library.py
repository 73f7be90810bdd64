"""Exported C code as a shared library of this process, to compare every output on any input."""

import ctypes
import hashlib
import subprocess

import numpy as np

from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import golden_outputs, random_inputs
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.runtime.interpreter import Interpreter

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
FLAGS = [*WARNINGS, "-O1", "-g"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
DTYPES = {"int8_t": np.int8, "float": np.float32, "int32_t": np.int32}


class ExportedLibrary:
    """The exported code of a model.

    Attributes:
      project: As it was planned.
      interpreter: TensorFlow Lite Micro with the same model.
    """

    def __init__(self, tflite, folder, name="model", objects=None):
        """Compiles it with sanitizers; or quickly, where a folder for objects is given that it
        shares with other models of its name: operators are compiled once.
        """
        self.interpreter = Interpreter(tflite)
        self.project = PROJECT_FORMATS["c"](plan_c_project(tflite, name=name), name)
        self.tflite, self.folder, self.name = tflite, folder, name
        self.project.write(folder, golden_outputs(self.interpreter, random_inputs(tflite)))
        self._library = ctypes.CDLL(str(self._compile(objects)))
        self._memory = (ctypes.c_uint64 * (self.project.arena_bytes // 8 + 4096))()

    def _compile(self, objects):
        library = self.folder / "model.so"
        sources = [path for path in self.folder.rglob("*.c") if path.name != f"{self.name}_main.c"]
        if objects is None:
            command = ["cc", *FLAGS, "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fPIC"]
            command += ["-Wno-error=shadow", "-Wno-shadow"]
        else:
            command = ["cc"]
            sources = [
                self._object(source, objects)
                for source in sources
                if source.name != f"{self.name}_self_test.c"
            ]
        subprocess.run([*command, "-shared", *map(str, sources), "-o", str(library)], check=True)
        return library

    @staticmethod
    def _object(source, objects):
        """The object of a source; equal sources of models of one name have equal objects."""
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        made = objects / f"{source.stem}_{digest}.o"
        if not made.exists():
            command = ["cc", *WARNINGS, "-Wno-shadow", "-O0", "-fPIC", "-c", str(source)]
            subprocess.run([*command, "-o", str(made)], check=True)
        return made

    def run_self_test(self):
        """With sanitizers."""
        program = self.folder / "program"
        command = ["cc", *FLAGS, "-Wno-shadow", *SANITIZERS, *map(str, self.folder.rglob("*.c"))]
        subprocess.run([*command, "-o", str(program)], check=True)
        done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "self-test: ok\n"), done.stderr

    def run(self, inputs):
        """The outputs of the exported code, as the first of a sequence."""
        assert self._function("init", ctypes.c_int)(self._memory) == 0
        return self.run_on(inputs)

    def run_on(self, inputs):
        """The outputs of the exported code, which goes on from the state of the run before."""
        context = self.project.context
        for value, end in zip(inputs, context["inputs"], strict=True):
            place = self._function(f"input{end['suffix']}", ctypes.c_void_p)(self._memory)
            value = np.ascontiguousarray(value, DTYPES[end["c_type"]])
            ctypes.memmove(place, value.ctypes.data, value.nbytes)
        self._function("run", None)(self._memory)
        found = []
        for end in context["outputs"]:
            place = self._function(f"output{end['suffix']}", ctypes.c_void_p)(self._memory)
            value = np.empty(end["tensor"].shape, DTYPES[end["c_type"]])
            ctypes.memmove(value.ctypes.data, place, value.nbytes)
            found.append(value)
        return found

    def predict(self, x):
        """Real values for each sample alone, as ``Interpreter.predict``; one array per output."""
        inputs, outputs = self.interpreter.input_details, self.interpreter.output_details
        arrays = [
            details.quantize(values)
            for details, values in zip(inputs, x if isinstance(x, list) else [x], strict=True)
        ]
        samples = [self.run(sample) for sample in zip(*arrays, strict=True)]
        return [
            details.dequantize(np.concatenate(values))
            for details, values in zip(outputs, zip(*samples, strict=True), strict=True)
        ]

    def reset(self):
        """Forgets the state, which a model with one can."""
        self._function("reset", None)(self._memory)

    def _function(self, name, result):
        function = getattr(self._library, f"{self.name}_{name}")
        function.restype = result
        return lambda memory: function(ctypes.byref(memory))
