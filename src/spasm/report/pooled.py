"""Evaluations of several sites as one: rows of pooled metrics, and their page with forest plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spasm.core.errors import DataError, printable
from spasm.evaluation.pooling import pool
from spasm.evaluation.shareable import Scale, back, rounded
from spasm.report import evaluation_text as text
from spasm.report.templates import read_asset, render
from spasm.runs.evaluations import Evaluation, RunResult, Value

COLUMNS = (
    "run", "part", "metric", "sites", "value", "low", "high", "prediction_low", "prediction_high", "tau2", "i2",
    "scale",
)  # fmt: skip
LEAST = 1e-9  # standard error; a site in which all resamples are alike cannot be weighed
NOT_POOLED = ("always_positive_f1",)
PLOTTED = (
    "f1", "sensitivity", "specificity", "auc", "slope", "event_sensitivity", "false_alarms_per_hour",
)  # fmt: skip
NAMES = text.NAMES | text.EVENT_NAMES | text.TIMING_NAMES


class Site(NamedTuple):
    """One file, under the name that the user gave it."""

    name: str
    evaluation: Evaluation


class PooledMetric(NamedTuple):
    """A metric over sites, and each site's own."""

    part: str
    metric: str
    row: dict[str, Any]
    """Of COLUMNS."""
    of_sites: list[tuple[str, Value]]


def check(sites: Sequence[Site], paths: Sequence[Path], different_runs: bool) -> list[str]:
    """Warnings about the sites. Raises DataError for the same data twice, and for runs that differ, unless allowed."""
    warnings = []
    for number, (site, path) in enumerate(zip(sites, paths, strict=True)):
        for other, at in zip(sites[:number], paths, strict=False):
            if other.evaluation.data == site.evaluation.data:
                raise DataError(path, f"is about the same data as {printable(at)}", "name each site's data once")
        if site.evaluation.code != sites[0].evaluation.code:
            warnings.append(f"{site.name} was evaluated by another version of this software than {sites[0].name}")
        if site.evaluation.lock is None:
            warnings.append(f"{site.name}: no lock-box was used, so this may not be the first result on its data")
        elif site.evaluation.lock.evaluation_number > 1:
            number_there = site.evaluation.lock.evaluation_number
            warnings.append(f"{site.name}: evaluation number {number_there} on its data, not the first")
    if not different_runs and not _common_runs(sites):
        hint = "evaluate one run at every site, or give --different-runs to pool the first run of each file"
        raise DataError(paths[0], "holds no run that all the other files hold", hint)
    return warnings


def pooled_metrics(sites: Sequence[Site], different_runs: bool) -> list[PooledMetric]:
    """Every metric that at least two sites give out, for each run that all of them evaluated."""
    found = []
    for digest in ["different runs"] if different_runs else _common_runs(sites):
        runs = [_run_of(site.evaluation, None if different_runs else digest) for site in sites]
        for part in ("segments", "recordings"):
            values = [_values(run, part) for run in runs]
            for metric in dict.fromkeys(name for of_site in values for name in of_site):
                of_sites = [(site.name, one[metric]) for site, one in zip(sites, values, strict=True) if metric in one]
                usable = [value for _, value in of_sites if value.transformed is not None and (value.se or 0) > LEAST]
                usable = [value for value in usable if value.scale == usable[0].scale]
                if len(usable) < 2:
                    continue
                row = {"run": digest[:12] if not different_runs else digest, "part": part, "metric": metric}
                found.append(PooledMetric(part, metric, row | _pool(usable), of_sites))
    return found


def _common_runs(sites: Sequence[Site]) -> list[str]:
    shared = set.intersection(*({run.sha256 for run in site.evaluation.runs} for site in sites))
    return [run.sha256 for run in sites[0].evaluation.runs if run.sha256 in shared]


def _run_of(evaluation: Evaluation, digest: str | None) -> RunResult:
    return next(run for run in evaluation.runs if digest in (None, run.sha256))


def _values(run: RunResult, part: str) -> dict[str, Value]:
    """The metrics of one part of an evaluation that can be pooled."""
    values: dict[str, Value] = {}
    if part == "segments" and run.segments is not None:
        values = {**run.segments.metrics, **run.segments.calibration}
    if part == "recordings" and run.recordings is not None:
        values = {**run.recordings.metrics, **run.recordings.timing}
    return {name: value for name, value in values.items() if name in NAMES and name not in NOT_POOLED}


def _pool(values: Sequence[Value]) -> dict[str, Any]:
    """The columns from `sites` on."""
    scale: Scale = values[0].scale or "identity"
    mean = pool([value.transformed or 0.0 for value in values], [value.se or 0.0 for value in values])
    ends = {"value": mean.mean, "low": mean.low, "high": mean.high}
    ends |= {"prediction_low": mean.prediction_low, "prediction_high": mean.prediction_high}  # type: ignore[dict-item]
    on_scale = {name: None if end is None else rounded(back(end, scale)) for name, end in ends.items()}
    return {"sites": mean.sites, **on_scale, "tau2": rounded(mean.tau2), "i2": rounded(mean.i2), "scale": scale}


def table(metrics: Sequence[PooledMetric]) -> str:
    """The pooled metrics as text for a terminal."""
    width = max(len(NAMES[one.metric]) for one in metrics)
    lines = [f"{'':{width}} {'sites':>5} {'mean':>7}   95 % interval        a new site           I2"]
    for one in metrics:
        row = one.row
        new = _between(row["prediction_low"], row["prediction_high"])
        mean = f"{row['value']:7.3f}   {_between(row['low'], row['high']):20}"
        lines.append(f"{NAMES[one.metric]:{width}} {row['sites']:5} {mean} {new:20} {row['i2']:.2f}")
    return "\n".join(lines)


def page(sites: Sequence[Site], metrics: Sequence[PooledMetric], warnings: Sequence[str]) -> str:
    """The page, which stands by itself. Raises SettingsError where Jinja2 is not installed."""
    from spasm.report import evaluation_figures as figures  # slow to load

    simulated = any(site.evaluation.simulated for site in sites)
    shown = []
    for number, one in enumerate(one for one in metrics if one.metric in PLOTTED):
        rows: list[figures.Row] = [(name, value.value, value.low, value.high) for name, value in one.of_sites]
        row = one.row
        rows.append(("random-effects mean", row["value"], row["low"], row["high"]))
        if row["prediction_low"] is not None:
            rows.append(("a new site", row["value"], row["prediction_low"], row["prediction_high"]))
        title, unit = NAMES[one.metric], row["scale"] == "logit"
        plot = figures.forest(rows, title, "95 % intervals", first_of_all=len(one.of_sites), unit=unit)
        if simulated:
            plot.stamp()
        shown.append({"svg": plot.svg(f"forest-{number}"), "title": title})
    context = {
        "simulated": simulated,
        "sites": [_site(site) for site in sites],
        "warnings": list(warnings),
        "figures": shown,
        "rows": [
            (NAMES[one.metric], str(one.row["sites"]), f"{one.row['value']:.3f}",
             _between(one.row["low"], one.row["high"]),
             _between(one.row["prediction_low"], one.row["prediction_high"]), f"{one.row['i2']:.2f}",
             f"{one.row['tau2']:.3f}")
            for one in metrics
        ],
        "style": read_asset("report.css"),
    }  # fmt: skip
    return render("pooled.html", context)


def as_tree(sites: Sequence[Site], metrics: Sequence[PooledMetric]) -> Mapping[str, Any]:
    """The content of pooled.json."""
    return {
        "kind": "pooled",
        "schema": 1,
        "simulated": any(site.evaluation.simulated for site in sites),
        "sites": [{"name": site.name, "data": site.evaluation.data} for site in sites],
        "metrics": [
            {**one.row, "of_sites": {name: value.model_dump() for name, value in one.of_sites}} for one in metrics
        ],
    }


def _site(site: Site) -> tuple[str, str, str, str]:
    run = site.evaluation.runs[0]
    segments, recordings = run.segments, run.recordings
    counts = [f"{segments.segments:,} segments of {segments.children} children"] if segments else []
    counts += [f"{recordings.hours:.1f} hours of {recordings.children} children"] if recordings else []
    return site.name, "; ".join(counts), site.evaluation.date, text.lock_line(site.evaluation)


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
