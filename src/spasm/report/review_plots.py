"""Plots of two reviews of the same recordings."""

from collections.abc import Mapping, Sequence

from spasm.evaluation.reviewer_agreement import differences
from spasm.report import plots

BINS = 30


def time_differences(of_times: Mapping[str, Sequence[float]]) -> bytes:
    """PNG: a histogram of the differences of each time (s) between two reviewers, with mean and limits of agreement."""
    from matplotlib.figure import Figure  # here, so that a help text comes at once

    figure = Figure(figsize=(plots.WIDTH_IN, 3.4), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(of_times)), of_times.items(), strict=True):
        axes.hist(values, BINS, color="#8fa8c0")
        found = differences(values)
        for key, style in (("mean", "-"), ("limit_low", "--"), ("limit_high", "--")):
            if found[key] is not None:
                axes.axvline(found[key], linestyle=style, color="#c05020")
        axes.set_xlabel(f"{name}, second minus first reviewer, s")
        axes.set_ylabel("events that both accepted")
        axes.set_title(f"{len(values)} events; mean and limits of agreement", fontsize=10)
    return plots.to_png(figure)
