"""Turns runs into medians, tables and verdicts. Knows no processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median

from benchmarks.measurements import MEASUREMENTS
from benchmarks.measurements.base import Verdict, judge
from benchmarks.rounds import Run

Medians = dict[str, dict[str, dict[str, float]]]
"""By measurement, system and figure."""


def medians_of(runs: Iterable[Run]) -> Medians:
    """Return the median over the rounds of each round's median, so that no round weighs more than another."""
    rounds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for run in runs:
        for figure, samples in run.samples.items():
            rounds[run.measurement, run.system, figure].append(median(samples))
    result: Medians = {}
    for (measurement, system, figure), values in rounds.items():
        result.setdefault(measurement, {}).setdefault(system, {})[figure] = median(values)
    return result


def table_of(measurement: str, medians: dict[str, dict[str, float]]) -> str:
    """Return the figures of one measurement: a row each, a column for each system, with our ratio to it."""
    systems = list(medians)
    figures = list(dict.fromkeys(figure for by_figure in medians.values() for figure in by_figure))
    lines = [f"\n{measurement}: {MEASUREMENTS[measurement].title}"]
    lines.append(f"  {'':24}" + "".join(f"{system:>22}" for system in systems))
    for figure in figures:
        cells = []
        ours = medians.get("nbcluster", {}).get(figure)
        for system in systems:
            value = medians[system].get(figure)
            if value is None:
                cells.append("-")
            elif ours is None or system == "nbcluster" or not value:
                cells.append(f"{value:.4g}")
            else:
                cells.append(f"{value:.4g} (we: x{ours / value:.2f})")
        lines.append(f"  {figure:24}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def verdicts_of(medians: Medians) -> list[tuple[str, Verdict | None]]:
    """Return what became of each bar of the measurements that ran; None where a figure is missing."""
    return [
        (bar.what, judge(bar, medians[measurement]))
        for measurement in medians
        for bar in MEASUREMENTS[measurement].bars
    ]


def line_of(what: str, verdict: Verdict | None) -> str:
    """Return one bar as a line."""
    if verdict is None:
        return f"  {'not measured':12} {what}"
    of = f" of {verdict.bar.against}'s" if verdict.bar.against else ""
    met = "met" if verdict.is_met else "NOT MET"
    return f"  {met:12} {what}: {verdict.value:.4g}{of}, at most {verdict.bar.limit:g}"
