"""Counts the instructions of the operators on emulated microcontrollers.

    python tools/device_benchmark.py [--targets=cortex-m4,rv32imc] [--entries=resnet8/m2/d0.10]
    python tools/device_benchmark.py --models=model.tflite

Builds one program per target and entry (a model of tflite_ops/device/*.json, levels, the density of
the bits of each level, and with /k<levels> levels of the activations), runs it under
QEMU, checks that the outputs are those of the NumPy twin, and writes to --output: device.json, with
the same figures per layer and in total; code_size.json, the bytes of code of the operators; and
device.png. The planes are random with a fixed seed: speed does not depend on which bits are set.
With /bits the planes, but those of depthwise layers, are stored as bits, for the bitwise kernel;
with /binary too, and neither side has zeros: multi-level binary networks. With /indices those of
fully connected layers are stored as byte indices.
With /whole instead, the entry is the whole network with random weights, as code without an
interpreter: instructions of each operator, those that are not ours too, arena, stack and flash.
With --check, fails if a total has more than 2% more instructions than the one in --baseline.

arena_bytes is the largest sum of a layer's input, output and scratch: what an interpreter plans for
a chain of these layers, without skip connections and its own tables. int8_arena_bytes is the same
without scratch.
"""

import collections
import dataclasses
import functools
import json
import pathlib
import sys
import tempfile

import numpy as np
from absl import app, flags
from device_plot import draw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.emulation.firmware import run_firmware
from tfmot_mltq.emulation.targets import CORE_SOURCES, DEVICE, TARGETS, DeviceError
from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.kernels import Call
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.mathematics.activation_levels import ActivationLevels
from tfmot_mltq.packing import fixed_point, packed_layer, plane_codec
from tfmot_mltq.packing.encodings import Planes, ways_to_store
from tfmot_mltq.packing.format import OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry, PackedLayer
from tfmot_mltq.reference import ops

MLPERF_TINY = json.loads((DEVICE / "mlperf_tiny.json").read_text())
DENSITIES = ("0.02", "0.05", "0.0667", "0.10", "0.20", "0.333", "1.0")
ENTRIES = [
    *(f"resnet8/m{levels}/d{density}" for levels in (1, 2, 3) for density in DENSITIES),
    *(f"{model}/m2/d0.10" for model in ("dscnn", "mobilenetv1_025", "autoencoder")),
    *(f"{model}/m2/d0.10/k2" for model in ("resnet8", "dscnn", "autoencoder")),
    *(f"rebnet/m{levels}/d1.0/k{levels}/binary" for levels in (1, 2, 3)),
    "rebnet/m2/d0.10/k2",
    "rebnet/m2/d0.333/k2/bits",
    "resnet8/m1/d1.0/k1/binary",
    "resnet8/m2/d0.20/k1/bits",
    "mobilenetv1_025/m1/d1.0/k2/binary",
    "mobilenetv1_025/m2/d0.20/k1/bits",
    "autoencoder/m2/d1.0/k1/binary",
    "autoencoder/m1/d0.50/k2/bits",
    *(f"{model}/m2/d0.10/whole" for model in MLPERF_TINY["models"]),
    *(f"autoencoder/m{m}/d{d}/indices" for m, d in ((1, "0.333"), (2, "0.10"), (3, "0.02"))),
    "autoencoder/m2/d0.05/k2/indices",
    "classifiers/m2/d0.10/indices",
    "classifiers/m1/d0.333/k1/indices",
]
MARGIN = 1.02
OPTIMIZE = "-O3"
CODE_SIZES = ("-Os", "-O2", "-O3")
MODELS = dict(MLPERF_TINY["models"])
for _name in ("rebnet", "classifiers"):
    MODELS |= json.loads((DEVICE / f"{_name}.json").read_text())["models"]

FLAGS = flags.FLAGS
flags.DEFINE_list("targets", list(TARGETS), "Emulated cores.")
flags.DEFINE_list(
    "entries", ENTRIES, "model/m<levels>/d<density>[/k<activation levels>][/bits|/binary|/indices]."
)
flags.DEFINE_list("models", [], ".tflite files: their MLTQ layers, in the place of the entries.")
flags.DEFINE_string("output", "build/benchmarks", "Folder for device.json.")
flags.DEFINE_string("baseline", str(DEVICE / "baseline.json"), "Instructions to compare with.")
flags.DEFINE_bool("check", False, "Fail on more instructions than in --baseline.")
flags.DEFINE_bool("update", False, "Write the totals into --baseline.")


def layer_call(shapes: dict) -> Call:
    """Geometry and sizes of a layer."""
    kind = OperatorKind[shapes["op"]]
    outputs = shapes["out_shape"][-1]
    if kind == OperatorKind.FULLY_CONNECTED:
        return Call(Geometry(kind, shapes["in_shape"][-1], outputs))
    geometry = Geometry(
        kind, shapes["in_shape"][-1], outputs, tuple(shapes["filter_shape"][1:3]),
        tuple(shapes["stride"]), padding=Padding[shapes["padding"]],
    )  # fmt: skip
    return Call(geometry, tuple(shapes["in_shape"][1:3]), tuple(shapes["out_shape"][1:3]))


def random_layer(
    shapes: dict, levels: int, density: float, rng: np.random.Generator
) -> PackedLayer:
    """A packed layer of a shape, with random planes."""
    geometry = layer_call(shapes).geometry
    outputs = geometry.output_channels
    planes = rng.choice(np.array([-1, 1], np.int8), (levels, outputs, geometry.row_size))
    planes *= (rng.random(planes.shape) < density).astype(np.int8)
    tables = fixed_point.quantize_channels(
        planes,
        rng.uniform(0.02, 0.1, (levels, outputs)),
        rng.normal(0, 2, outputs),
        input_scale=0.05,
        input_zero_point=-128,
        output_scale=0.1 * max(1.0, np.sqrt(density * geometry.row_size)),
        output_zero_point=-128,
    )
    return PackedLayer(
        geometry, planes, tables.multipliers, tables.biases, tables.shifts, -128, -128, 127
    )


def with_activation_levels(layer: PackedLayer, levels: int, kind: str) -> PackedLayer:
    """The layer with a table for levels of equal steps: scales that fall by 3, or 2 if binary."""
    largest, base = (80, 3) if kind == "ternary" else (64, 2)
    counts = np.array([largest // base**level for level in range(levels)], np.int8)
    table = ActivationLevels(kind, 1.0, counts, np.full(levels, 0.5, np.float32)).table(1, 0)
    return dataclasses.replace(layer, input_zero_point=0, activation_table=table)


def xorshift_input(size: int) -> np.ndarray:
    """The int8 input that layer_benchmark.c makes for a layer."""
    values = np.empty(size, np.int8)
    state = 2463534242
    for i in range(size):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        values[i] = np.uint8(state >> 24).astype(np.int8)
    return values


def fnv1a(data: bytes) -> int:
    """Checksum of an output, as layer_benchmark.c computes it."""
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


class Entry:
    """Layers, packed, with what they should give.

    Attributes:
      name, config: What they are.
      shapes: Sizes and names of each layer, as in tflite_ops/device/*.json.
      layers, packed, calls, counts, dims: Each layer, its bytes, its sizes and the counts of its
        planes for the cost model, and the shapes of its input and output.
      checksums: Of the outputs for the input that layer_benchmark.c makes.
    """

    def __init__(self, name: str, config: dict):
        self.name = name
        self.config = config | {"optimize": OPTIMIZE}
        self.shapes, self.layers, self.packed, self.checksums, self.dims = [], [], [], [], []
        self.calls, self.counts = [], []

    def add(self, shapes: dict, call: Call, layer: PackedLayer, encodings: list[int]) -> None:
        """One more layer."""
        in_shape = tuple(shapes["in_shape"])
        if layer.geometry.kind == OperatorKind.FULLY_CONNECTED:
            in_shape = (call.positions, layer.geometry.input_channels)
        values = xorshift_input(int(np.prod(in_shape))).reshape(in_shape)
        output = ops.run_layer(layer, values)
        self.shapes.append(shapes)
        self.layers.append(layer)
        self.packed.append(packed_layer.encode(layer, encodings))
        self.calls.append(call.reading(layer.activation_table))
        self.counts.append(count_planes(layer.planes, encodings))
        self.checksums.append(fnv1a(output.tobytes()))
        self.dims.append((in_shape, output.shape))

    def header(self) -> str:
        """The layers as C."""
        arrays, rows = [], []
        for i, (layer, data, (in_dims, out_dims)) in enumerate(
            zip(self.layers, self.packed, self.dims, strict=True)
        ):
            body = ",".join(map(str, data))
            arrays.append(f"static const uint8_t k{i}[] __attribute__((aligned(16))) = {{{body}}};")
            dims = [", ".join(map(str, shape)) for shape in (in_dims, out_dims)]
            rows.append(
                f"  {{{int(layer.geometry.kind)}, k{i}, {len(data)}, {{{dims[0]}}}, {{{dims[1]}}}, "
                f"{len(in_dims)}}},"
            )
        sizes = [max(int(np.prod(dims[i])) for dims in self.dims) for i in (0, 1)]
        return "\n".join(
            [*arrays, "static const BenchmarkLayer kLayers[] = {", *rows, "};",
             f"#define MLTQ_LARGEST_INPUT {sizes[0]}", f"#define MLTQ_LARGEST_OUTPUT {sizes[1]}",
             ""]
        )  # fmt: skip

    def figures(self, index: int, instructions: int, scratch_bytes: int) -> dict:
        """What the benchmark says about one layer."""
        planes = self.layers[index].planes
        keys = ("name", "op", "in_shape", "filter_shape", "stride", "padding", "macs")
        return {key: self.shapes[index][key] for key in keys} | {
            "nonzero_bits": int(np.count_nonzero(planes)),
            "nonzero_words": int(np.count_nonzero(planes.any(axis=0))),
            "instructions": instructions,
            "flash_bytes": len(self.packed[index]),
            "entropy_bytes": round(plane_codec.entropy_bytes(planes), 1),
            "scratch_bytes": scratch_bytes,
        }


def synthetic_entry(name: str) -> Entry:
    """The layers of an entry of the benchmark, with random planes."""
    model, levels, density, *options = name.split("/")
    activation_levels = int(options.pop(0)[1:]) if options[:1] and options[0][0] == "k" else 0
    stored = {"bits": Planes.BITS, "binary": Planes.BITS, "indices": Planes.INDICES}
    wanted = stored[options[0]] if options else Planes.CODED
    kind = "binary" if options == ["binary"] else "ternary"
    entry = Entry(
        name,
        {
            "model": model, "levels": int(levels[1:]), "density": float(density[1:]), "seed": 1,
            "activation_levels": activation_levels, "kind": kind, "planes": wanted.name.lower(),
        },
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for shapes in MODELS[model]["layers"]:
        layer = random_layer(shapes, entry.config["levels"], entry.config["density"], rng)
        if activation_levels:
            layer = with_activation_levels(layer, activation_levels, kind)
        ways = ways_to_store(layer.geometry.kind, layer.activation_levels)
        way = wanted if wanted in ways else Planes.CODED
        encodings = [plane_codec.best_encoding(plane, way) for plane in layer.planes]
        entry.add(shapes, layer_call(shapes), layer, encodings)
    return entry


def model_entry(path: pathlib.Path) -> Entry:
    """The MLTQ operators of a .tflite file.

    Raises:
      OSError, ValueError: There is no such file, or no such operator in it.
    """
    entry = Entry(path.stem, {"model": path.name})
    for operator in read_operators(path.read_bytes()):
        if operator.layer is None or operator.call is None:
            continue
        geometry = operator.layer.geometry
        is_dense = geometry.kind == OperatorKind.FULLY_CONNECTED
        channels = {
            OperatorKind.CONV_2D: [
                geometry.output_channels,
                *geometry.filter_size,
                geometry.input_channels,
            ],
            OperatorKind.DEPTHWISE_CONV_2D: [1, *geometry.filter_size, geometry.output_channels],
            OperatorKind.FULLY_CONNECTED: [geometry.output_channels, geometry.input_channels],
        }
        shapes = {
            "name": operator.name,
            "op": geometry.kind.name,
            "in_shape": list(operator.input_shape),
            "filter_shape": channels[geometry.kind],
            "out_shape": list(operator.output_shape),
            "stride": None if is_dense else list(geometry.stride),
            "padding": None if is_dense else geometry.padding.name,
            "macs": operator.macs,
        }
        entry.add(shapes, operator.call, operator.layer, operator.encodings)
    if not entry.layers:
        raise ValueError(f"{path} has no MLTQ operator; mltq.convert writes files that have.")
    return entry


def totals(layers: list[dict], dims: list) -> dict:
    """Sums of the layers' figures, the largest scratch, and the arena for tensors of ``dims``."""
    keys = ("macs", "nonzero_bits", "nonzero_words", "instructions", "flash_bytes", "entropy_bytes")
    tensors = [int(np.prod(in_dims) + np.prod(out_dims)) for in_dims, out_dims in dims]
    scratch = [layer["scratch_bytes"] for layer in layers]
    return {key: round(sum(layer[key] for layer in layers), 1) for key in keys} | {
        "max_scratch_bytes": max(scratch),
        "arena_bytes": max(map(sum, zip(tensors, scratch, strict=True))),
        "int8_arena_bytes": max(tensors),
    }


def code_sizes(targets: list[str]) -> dict:
    """Bytes of code of the operators, Prepare and the reference kernels included, by target and
    optimisation.
    """
    return {
        name: {level: TARGETS[name].text_bytes(CORE_SOURCES, [level]) for level in CODE_SIZES}
        for name in targets
    }


def compiled_core(name: str, folder: pathlib.Path) -> list[pathlib.Path]:
    """The core's objects for a target, compiled at the first call with this folder.

    Raises:
      DeviceError: The compiler is missing, or refused the core.
    """
    objects = {folder / f"{name}_{source.stem}.o": source for source in CORE_SOURCES}
    for compiled, source in objects.items():
        if not compiled.exists():
            TARGETS[name].compile(source, compiled, [OPTIMIZE])
    return list(objects)


def measure(name: str, entry: Entry, folder: pathlib.Path) -> dict:
    """Runs an entry on a target.

    Args:
      name: The target.
      entry: The layers.
      folder: For what is compiled; entries that share it share the core's objects.

    Raises:
      DeviceError: A tool is missing, the program failed, or an output was not as expected.
    """
    target = TARGETS[name]
    header = folder / "layers.h"
    header.write_text(entry.header())
    program = folder / f"{name}.elf"
    sources = [*compiled_core(name, folder), DEVICE / "layer_benchmark.c"]
    target.build(sources, program, [OPTIMIZE, f'-DMLTQ_LAYERS="{header}"'])
    lines = [line.split() for line in target.run(program, count=True).splitlines()]
    results = [line[2:] for line in lines if line[:1] == ["layer"]]
    if lines[-1:] != [["done"]] or len(results) != len(entry.layers):
        raise DeviceError(f"{name}, {entry.name}: the program did not end:\n{lines[-3:]}")
    for index, (_, _, checksum) in enumerate(results):
        if int(checksum, 16) != entry.checksums[index]:
            raise DeviceError(f"{name}, {entry.name}: layer {index} gave other bytes.")
    layers = [
        entry.figures(index, int(instructions), int(scratch))
        for index, (instructions, scratch, _) in enumerate(results)
    ]
    return {"config": entry.config, "layers": layers, "totals": totals(layers, entry.dims)}


def is_whole(name: str) -> bool:
    """Whether an entry is a whole network."""
    return name.endswith("/whole")


def whole_network(name: str) -> tuple[dict, bytes]:
    """The configuration and the .tflite file of an entry that is a whole network."""
    from mlperf_tiny_networks import SEED, convert_network  # imports TensorFlow

    model, levels, density, _ = name.split("/")
    config = {
        "model": model, "levels": int(levels[1:]), "density": float(density[1:]), "seed": SEED,
        "optimize": OPTIMIZE,
    }  # fmt: skip
    return config, convert_network(model, config["levels"], config["density"])


def measure_whole(target: str, config: dict, tflite: bytes) -> dict:
    """Runs a whole network on a target.

    Raises:
      DeviceError: A tool is missing, or the output was not that of TensorFlow Lite Micro.
    """
    return {"config": config, **dataclasses.asdict(run_firmware(target, tflite))}


def print_whole_table(results: dict, console: Console) -> None:
    """Whole networks: all operators, and those that take most."""
    table = Table(title="Whole networks as code without an interpreter")
    for column in ("target", "network", "instructions", "arena", "stack", "flash", "most of it"):
        left = column in ("target", "network", "most of it")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for target, entries in results.items():
        for name, entry in entries.items():
            if not is_whole(name):
                continue
            counts = collections.Counter()
            for operator in entry["operators"]:
                counts[operator["op"]] += operator["instructions"]
            largest = (f"{op} {count / 1e6:.2f} M" for op, count in counts.most_common(3))
            table.add_row(
                target, name.removesuffix("/whole").replace("mobilenetv1_025", "mobilenet"),
                f"{entry['instructions'] / 1e6:.3f} M",
                *(f"{entry[f'{memory}_bytes']:,}" for memory in ("arena", "stack", "flash")),
                ", ".join(largest),
            )  # fmt: skip
    if table.row_count:
        console.print(table)


def print_table(results: dict, console: Console) -> None:
    """Totals beside the competitors'."""
    table = Table(title="Instructions of the layers with weights; competitors' int8 kernels")
    for column in ("target", "entry", "MLTQ", "int8", "ratio", "flash / int8", "scratch"):
        left = column in ("target", "entry")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for target, entries in results.items():
        competitor = MLPERF_TINY["competitors"].get(target, {"instructions": {}})
        for name, entry in entries.items():
            if is_whole(name):
                continue
            figures = entry["totals"]
            theirs = competitor["instructions"].get(entry["config"]["model"])
            int8 = sum(int(np.prod(layer["filter_shape"])) for layer in entry["layers"])
            table.add_row(
                target, name.replace("mobilenetv1_025", "mobilenet"),
                f"{figures['instructions'] / 1e6:.3f} M",
                f"{competitor['library']} {sum(theirs) / 1e6:.2f} M" if theirs else "-",
                f"{sum(theirs) / figures['instructions']:.2f}x" if theirs else "-",
                f"{figures['flash_bytes'] / int8:.3f}", f"{figures['max_scratch_bytes']:,}",
            )  # fmt: skip
    console.print(table)


def print_code_sizes(sizes: dict, console: Console) -> None:
    """Bytes of code by target."""
    table = Table(title="Bytes of code of the three operators, with checks and reference kernels")
    table.add_column("target")
    for level in CODE_SIZES:
        table.add_column(level, justify="right")
    for target, by_level in sizes.items():
        table.add_row(target, *(f"{by_level[level]:,}" for level in CODE_SIZES))
    console.print(table)


def totals_by_entry(results: dict) -> dict:
    """Total instructions, by target and entry."""
    return {
        target: {
            name: entry.get("totals", entry)["instructions"] for name, entry in entries.items()
        }
        for target, entries in results.items()
    }


def regressions(measured: dict, baseline: dict) -> list[str]:
    """What takes more instructions than the baseline allows, or is not in it."""
    found = []
    for target, entries in measured.items():
        for name, count in entries.items():
            allowed = baseline.get(target, {}).get(name)
            if allowed is None:
                found.append(f"{target}, {name}: not in the baseline; run with --update")
            elif count > MARGIN * allowed:
                found.append(f"{target}, {name}: {count:,} instructions, {allowed:,} before")
    return found


def write_json(path: pathlib.Path, data: dict) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1) + "\n")


def main(_):
    """Runs the benchmark."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    unknown = sorted(set(FLAGS.targets) - set(TARGETS))
    if unknown:
        sys.exit(f"Unknown targets {unknown}; there are {list(TARGETS)}.")
    results = {target: {} for target in FLAGS.targets}
    try:
        with tempfile.TemporaryDirectory() as folder:
            wanted = [] if FLAGS.models and not FLAGS["entries"].present else FLAGS.entries
            makers = [
                functools.partial(synthetic_entry, name) for name in wanted if not is_whole(name)
            ]
            makers += [functools.partial(model_entry, pathlib.Path(path)) for path in FLAGS.models]
            for make in track(makers, "Counting", disable=not console.is_terminal):
                entry = make()
                for target in FLAGS.targets:
                    results[target][entry.name] = measure(target, entry, pathlib.Path(folder))
        for name in filter(is_whole, wanted):
            network = whole_network(name)
            for target in FLAGS.targets:
                results[target][name] = measure_whole(target, *network)
    except (DeviceError, OSError, ValueError) as error:
        sys.exit(str(error))
    print_table(results, console)
    print_whole_table(results, console)
    output = pathlib.Path(FLAGS.output)
    write_json(output / "device.json", results)
    sizes = code_sizes(FLAGS.targets)
    print_code_sizes(sizes, console)
    write_json(output / "code_size.json", sizes)
    draw(results, MLPERF_TINY["competitors"], output / "device.png")
    measured, path = totals_by_entry(results), pathlib.Path(FLAGS.baseline)
    baseline = json.loads(path.read_text()) if path.exists() else {}
    if FLAGS.update:
        for target, entries in measured.items():
            baseline.setdefault(target, {}).update(entries)
        write_json(path, baseline)
    elif FLAGS.check and (found := regressions(measured, baseline)):
        sys.exit("More instructions than before:\n" + "\n".join(found))


if __name__ == "__main__":
    app.run(main)
