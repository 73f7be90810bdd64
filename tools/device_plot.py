"""Draws instruction counts beside the competitors'."""

import pathlib

from device_benchmark import MLPERF_TINY

from tfmot_mltq.report.plots import new_figure, save_figure

# Entries that are drawn, with their names in the legend.
SERIES = {
    "resnet8/m2/d0.10": "MLTQ, M = 2, 10% of the bits",
    "resnet8/m2/d0.0667": "MLTQ, M = 2, 6.67%",
    "resnet8/m1/d0.05": "MLTQ, M = 1, 5%",
}
COLORS = ("#1f77b4", "#5fa2d4", "#a9cdea")


def draw(results: dict, path: pathlib.Path) -> bool:
    """Bars of ResNet-8 for every target; False if the results lack the entries."""
    targets = [target for target, entries in results.items() if set(SERIES) <= set(entries)]
    if not targets:
        return False
    figure, axes = new_figure([["counts"]], (8, 1 + 0.75 * len(targets)))
    axis = axes["counts"]
    height = 0.8 / (1 + len(SERIES))
    int8 = [
        sum(MLPERF_TINY["competitors"][target]["instructions"]["resnet8"]) / 1e6
        for target in targets
    ]
    for row, count in enumerate(int8):
        library = MLPERF_TINY["competitors"][targets[row]]["library"]
        bar = axis.barh(row, count, height, color="#b0b0b0", label="int8" if row == 0 else None)
        axis.bar_label(bar, [f" {library} {count:.1f} M"], fontsize=8)
    for series, (entry, label) in enumerate(SERIES.items(), 1):
        counts = [results[target][entry]["totals"]["instructions"] / 1e6 for target in targets]
        bars = axis.barh(
            [row + series * height for row in range(len(targets))], counts, height,
            color=COLORS[series - 1], label=label,
        )  # fmt: skip
        ratios = [
            f" {count:.2f} M ({theirs / count:.1f}x)"
            for count, theirs in zip(counts, int8, strict=True)
        ]
        axis.bar_label(bars, ratios, fontsize=8)
    axis.set_yticks([row + 1.5 * height for row in range(len(targets))], targets)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlim(right=3 * max(int8))
    axis.set_xlabel("million instructions of ResNet-8's layers with weights (log scale)")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False, fontsize=9)
    save_figure(figure, path)
    return True
