"""Writes the table of break-even densities, docs/break_even.md.

    python tools/break_even_table.py

For the layer shapes of the MLPerf Tiny models: the density of the bits of each of two levels at
which the predicted instructions are those of the int8 kernel on the same target. Below it MLTQ
takes fewer.
"""

import pathlib

import numpy as np
from absl import app, flags
from device_benchmark import MLPERF_TINY, layer_call, random_layer

from tfmot_mltq.cost_model import predict
from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.kernels import Call, PlaneCounts
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.packing import plane_codec

LEVELS = 2
DENSITIES = (
    *np.arange(0.01, 0.1, 0.01), *np.arange(0.1, 0.3, 0.02), *np.arange(0.3, 1.0, 0.05), 1.0,
)  # fmt: skip

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "table", str(pathlib.Path(__file__).parents[1] / "docs" / "break_even.md"), "File to write."
)

HEAD = """\
# Below which density MLTQ beats int8

Written by `tools/break_even_table.py` from the [cost model](cost_model.md), for two levels and the
encodings with the fewest bytes. A cell is the share of the bits of each level below which the
operator is predicted to take fewer instructions than the int8 kernel (CMSIS-NN on Cortex-M, ESP-NN
elsewhere): "always" for every density, "never" from 1% on. `mltq.summary(q, target=...)` says the
same of the layers of a model.
"""


def counted(call: Call, shapes: dict) -> list[PlaneCounts]:
    """What random planes of every density hold."""
    found = []
    for density in DENSITIES:
        layer = random_layer(shapes, LEVELS, density, np.random.default_rng(1))
        encodings = [plane_codec.best_encoding(plane) for plane in layer.planes]
        found.append(count_planes(layer.planes, encodings))
    return found


def break_even(call: Call, counts: list[PlaneCounts], target: str) -> str:
    """The density at which both take as many instructions."""
    int8 = predict.int8_instructions(call, target)
    ratios = [predict.instructions(call, count, target) / int8 for count in counts]
    if ratios[0] > 1:
        return "never"
    if max(ratios) <= 1:
        return "always"
    crossing = next(i for i, ratio in enumerate(ratios) if ratio > 1)
    below, above = ratios[crossing - 1], ratios[crossing]
    share = (1 - below) / (above - below)
    first, last = DENSITIES[crossing - 1], DENSITIES[crossing]
    return f"{first + share * (last - first):.0%}"


def name_of(shapes: dict) -> str:
    """A layer as users would say it."""
    if shapes["op"] == "FULLY_CONNECTED":
        return f"Dense {shapes['in_shape'][-1]} to {shapes['out_shape'][-1]}"
    kind = "depthwise " if shapes["op"] == "DEPTHWISE_CONV_2D" else ""
    size = "x".join(map(str, shapes["filter_shape"][1:3]))
    height, width, channels = shapes["in_shape"][1:]
    stride = f", stride {shapes['stride'][0]}" if shapes["stride"] != [1, 1] else ""
    return f"{kind}{size}{stride}, {height}x{width}x{channels} to {shapes['out_shape'][-1]}"


def main(_):
    """Writes the table."""
    layers: dict[str, dict] = {}
    for model in MLPERF_TINY["models"].values():
        for shapes in model["layers"]:
            layers.setdefault(name_of(shapes), shapes)
    targets = predict.targets()
    lines = [HEAD, f"| layer | {' | '.join(targets)} |", "|---|" + "---|" * len(targets)]
    for name, shapes in layers.items():
        call = layer_call(shapes)
        counts = counted(call, shapes)
        cells = [break_even(call, counts, target) for target in targets]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    with replaced_file(pathlib.Path(FLAGS.table)) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    app.run(main)
