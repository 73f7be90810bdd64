"""Draws instruction counts beside the competitors'."""

import pathlib

from tfmot_mltq.report.plots import new_figure, save_figure

# Entries that are drawn, with their names in the legend.
SERIES = {
    "resnet8/m2/d0.10": "MLTQ, M = 2, 10% of the bits",
    "resnet8/m2/d0.0667": "MLTQ, M = 2, 6.67%",
    "resnet8/m1/d0.05": "MLTQ, M = 1, 5%",
}
COLORS = ("#1f77b4", "#5fa2d4", "#a9cdea")


def draw(results: dict, competitors: dict, path: pathlib.Path) -> None:
    """Bars of ResNet-8 for every target that has all entries, and competitors; nothing without
    any.
    """
    targets = [
        target
        for target, entries in results.items()
        if set(SERIES) <= set(entries) and target in competitors
    ]
    if not targets:
        return
    figure, axes = new_figure([["counts"]], (8, 1 + 0.75 * len(targets)))
    axis = axes["counts"]
    height = 0.8 / len(SERIES)
    for series, (entry, label) in enumerate(SERIES.items()):
        shares, texts = [], []
        for target in targets:
            count = results[target][entry]["totals"]["instructions"]
            int8 = sum(competitors[target]["instructions"]["resnet8"])
            shares.append(100 * count / int8)
            texts.append(f" {count / 1e6:.2f} M, {int8 / count:.1f}x fewer")
        rows = [row + series * height for row in range(len(targets))]
        bars = axis.barh(rows, shares, height, color=COLORS[series], label=label)
        axis.bar_label(bars, texts, fontsize=8)
    names = []
    for target in targets:
        int8 = sum(competitors[target]["instructions"]["resnet8"])
        names.append(f"{target}\n{competitors[target]['library']} {int8 / 1e6:.1f} M")
    axis.axvline(100, color="#999999", linewidth=1)
    axis.set_yticks([row + height for row in range(len(targets))], names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 105)
    axis.set_xlabel("instructions of ResNet-8's layers with weights, percent of the int8 kernels'")
    axis.legend(loc="lower right", bbox_to_anchor=(0.93, 0.02), frameon=False, fontsize=9)
    save_figure(figure, path)
