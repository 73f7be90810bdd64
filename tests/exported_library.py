"""Exported C code as a shared library of this process, to compare every output on any input."""

import ctypes
import functools
import hashlib
import pathlib
import subprocess
import tempfile

import numpy as np

from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import golden_outputs, random_inputs
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.runtime.interpreter import Interpreter

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-O1", "-g", "-fno-sanitize-recover=all"]
DTYPES = {"int8_t": np.int8, "float": np.float32, "int32_t": np.int32}


@functools.cache
def operator_objects():
    """Folder of the objects that the projects of this process share."""
    return tempfile.TemporaryDirectory()


def build(folder, program, flags, without=()):
    """Compiles and links a project; its operators, which others have too, are compiled once."""
    sources = [path for path in sorted(folder.rglob("*.c")) if path.name not in without]
    operators = [path for path in sources if path.is_relative_to(folder / "mltq")]
    own = [path for path in sources if path not in operators]
    # One of them says which encodings the model has.
    headers = b"".join(path.read_bytes() for path in sorted((folder / "mltq").rglob("*.h")))
    objects = [_operator_object(source, headers, flags) for source in operators]
    command = ["cc", *FLAGS, *flags, *map(str, own + objects), "-o", str(program)]
    subprocess.run(command, check=True)


def _operator_object(source, headers, flags):
    content = source.read_bytes() + headers + " ".join(flags).encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    made = pathlib.Path(operator_objects().name, f"{source.stem}_{digest}.o")
    if not made.exists():
        flags = [flag for flag in flags if flag != "-shared"]
        subprocess.run(["cc", *FLAGS, *flags, "-c", str(source), "-o", str(made)], check=True)
    return made


def run_self_test(folder):
    """Runs the self-test of the project in a folder, with sanitizers."""
    program = folder / "program"
    build(folder, program, [*SANITIZERS, "-fsanitize=address,undefined"])
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "self-test: ok\n"), done.stderr


class ExportedLibrary:
    """The exported code of a model.

    Attributes:
      project: As it was planned.
      interpreter: TensorFlow Lite Micro with the same model.
    """

    def __init__(self, tflite, folder, name="model", sanitized=True):
        """Compiles it with a sanitizer, or quickly."""
        self.interpreter = Interpreter(tflite)
        self.project = PROJECT_FORMATS["c"](plan_c_project(tflite, name=name), name)
        self.tflite, self.folder, self.name = tflite, folder, name
        self.project.write(folder, golden_outputs(self.interpreter, random_inputs(tflite)))
        library = folder / "model.so"
        flags = [*SANITIZERS, "-fsanitize=undefined"] if sanitized else ["-O0"]
        programs = (f"{name}_main.c", f"{name}_self_test.c")
        build(folder, library, [*flags, "-fPIC", "-shared"], without=programs)
        self._library = ctypes.CDLL(str(library))
        self._memory = (ctypes.c_uint64 * (self.project.arena_bytes // 8 + 4096))()

    def run_self_test(self):
        """With sanitizers."""
        run_self_test(self.folder)

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
