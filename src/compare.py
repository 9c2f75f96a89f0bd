"""Train networks and other members on the same folds, and put all of them into one table.

Any of stgcn_mil, stam, sta_gunet, vsvig, two_stream, lgbm and rocket. Stopped at any moment, the same command
continues. Every figure is cross-fitted: weights, calibration and threshold that judge a fold were chosen on the other
folds. Of our own members, where two or more are named, the blend stands in the table too.

Example: python src/compare.py --data input --models stgcn_mil,stam,lgbm --seeds 3
"""

import math
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from spasm.cli import app
from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import settings, within
from spasm.config.models import MEMBERS
from spasm.core import files
from spasm.data.annotations import LabelLevel
from spasm.data.dataset import load_training
from spasm.ensemble.blending import OofScores, cross_fit
from spasm.ensemble.thresholds import best_threshold
from spasm.evaluation import bootstrap, metrics
from spasm.models import profiling
from spasm.report import console
from spasm.runs.run import MemberFolder, Run, reopen_run
from spasm.runs.summarize import rebuild, seed_logits


@settings
class Compare:
    """Flags of compare.py."""

    read: Data = Data()
    out: Path = Path("output/compare")
    """Folder for the run and the table; what is trained there is continued, model by model."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one folder per data set; may be deleted at any time."""
    models: tuple[str, ...] = (*MEMBERS, "lgbm", "rocket")
    """What to train, by commas or spaces: stgcn_mil, stam, sta_gunet, vsvig, two_stream, lgbm, rocket."""
    seeds: Annotated[int, within(1, 100)] = 3
    """Seeds to train each with, counted from 0: single runs decide nothing."""
    workers: Annotated[int, within(0, 256)] = 0
    """Folds trained side by side; 0 means one per CPU core."""
    split: Folds = Folds()


OURS = ("stgcn_mil", "lgbm", "rocket")  # what is blended
SHOWN = ("f1", "auc", "average_precision", "sensitivity", "specificity", "brier")
HEADS = ("F1", "AUC", "average precision", "sensitivity", "specificity", "Brier")
FEW = 10  # people with a positive segment, below which figures mean nothing


def main(settings: Compare) -> int:
    models = tuple(dict.fromkeys(name for word in settings.models for name in word.split(",") if name))
    app.check_members(models, "--models")
    read, run_path = settings.read, settings.out / "run"
    data = load_training(read.data, read.frames, read.name_pattern, settings.cache, rehash=read.rehash)
    print(console.data_summary(data))
    for warning in data.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for seed in range(settings.seeds):
        for name in models:
            train(settings, name, seed)
    run = reopen_run(run_path, data)
    # The run answers by our own members, as many as are there; published ones stand in the table alone.
    ours = tuple(name for name in OURS if MemberFolder(run_path / name).complete_seeds(run.folds))
    result = rebuild(run, Blend(), ours) if ours else rebuild(run)
    assert result is not None  # every member is complete
    table = rows(judge(run, models, settings.seeds), all_costs(settings, run, models))
    text = markdown(table, run, settings)
    files.write_csv(settings.out / "table.csv", list(table[0]), [list(row.values()) for row in table])
    files.write_bytes(settings.out / "table.md", text.encode())
    files.write_bytes(settings.out / "table.png", drawn(table, run))
    print(text)
    print(f"written: {settings.out}/table.md, table.csv, table.png and the run {run_path}")
    if (read.data / "test").exists():
        print(f"the run answers by {', '.join(result['members'])}; blend.py --members chooses others")
        flags = ["--run", str(run_path), "--test", str(read.data / "test")]
        print(f"next:    python submission.py {shlex.join(flags)}")
    return 0


def train(settings: Compare, name: str, seed: int) -> None:
    """Train one member with one seed, unless it is there, and note what it cost."""
    read, split = settings.read, settings.split
    flags = ["--data", str(read.data), "--name-pattern", read.name_pattern, "--seed", str(seed)]
    if read.frames is not None:
        flags += ["--frames", str(read.frames)]
    flags += ["--run", str(settings.out / "run"), "--cache", str(settings.cache), "--workers", str(settings.workers)]
    flags += ["--folds", str(split.folds), "--splitter", split.splitter, "--fold-seed", str(split.fold_seed)]
    if split.folds_file is not None:
        flags += ["--folds-file", str(split.folds_file)]
    complete = seed in MemberFolder(settings.out / "run" / name).seeds()
    start, before = time.monotonic(), processor_seconds()
    app.call([*app.MEMBER_SCRIPTS[name], *flags])
    if not complete:  # of a continued training only the last part is known, and it is not noted
        cost = {"seconds": time.monotonic() - start, "processor_seconds": processor_seconds() - before}
        files.write_json(cost_file(settings, name, seed), cost)
        print(f"{name} seed {seed}: {cost['seconds']:.0f} s, {cost['processor_seconds']:.0f} s of processor time")


def processor_seconds() -> float:
    """Time that finished child processes have computed."""
    used = os.times()
    return used.children_user + used.children_system


def cost_file(settings: Compare, name: str, seed: int) -> Path:
    return settings.out / "costs" / f"{name}_seed_{seed}.json"


def all_costs(settings: Compare, run: Run, models: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What each member costs: training, the mean over the seeds where it is known, and what `costs.measure` says."""
    poses = run.data.poses[np.flatnonzero(run.data.has_pose)[: profiling.BATCH]]
    known: dict[str, dict[str, Any]] = {}
    for name in models:
        path = settings.out / "costs" / f"{name}.json"
        if not path.exists():
            files.write_json(path, profiling.measure(run.path, name, poses))
        known[name] = files.read_json(path)
        paths = [cost_file(settings, name, seed) for seed in range(settings.seeds)]
        noted = [files.read_json(path)["processor_seconds"] for path in paths if path.exists()]
        known[name]["processor_seconds"] = float(np.mean(noted)) if noted else None
    return known


Resampled = tuple[dict[str, float], dict[str, np.ndarray]]


def judge(run: Run, models: tuple[str, ...], seeds: int) -> dict[str, list[Resampled]]:
    """Figures of each member and of the blend of our own, one for each seed; last of the blend of all seeds."""
    logits = {name: [seed_logits(run, MemberFolder(run.path / name), seed) for seed in range(seeds)] for name in models}
    judged = {name: [judge_one(run, {name: one}) for one in logits[name]] for name in models}
    ours = [name for name in models if name in OURS]
    if len(ours) > 1:
        judged["blend"] = [judge_one(run, {name: logits[name][seed] for name in ours}) for seed in range(seeds)]
        if seeds > 1:
            mean = {name: np.mean(logits[name], axis=0) for name in ours}
            judged[f"blend of all {seeds} seeds"] = [judge_one(run, mean)]
    return judged


def judge_one(run: Run, logits: dict[str, np.ndarray]) -> Resampled:
    """Cross-fitted figures of the members' logits (N,), of people where a label belongs to a person."""
    data, children, fold_of = run.data, np.array(run.data.children), run.fold_of
    labels, has_pose = data.labels, data.has_pose
    if data.label_level is LabelLevel.CHILD:
        children, first, person = np.unique(children, return_index=True, return_inverse=True)
        labels, fold_of = labels[first], fold_of[first]
        logits = {name: largest(values, person, has_pose) for name, values in logits.items()}
        has_pose = np.bincount(person, has_pose) > 0
    rows = OofScores(logits, children, has_pose)
    probabilities, positive, _ = cross_fit(rows, labels, fold_of, Blend())
    once, drawn = metrics.cluster_bootstrap(labels, probabilities, positive, list(children))
    best = metrics.figures(labels, probabilities, probabilities >= best_threshold(labels, probabilities))
    return once | {"best_f1": math.nan if best["f1"] is None else best["f1"]}, drawn


def largest(values: np.ndarray, person: np.ndarray, has_pose: np.ndarray) -> np.ndarray:
    """The largest value (N,) of each person (P,), among segments with a pose where there is one."""
    most = np.full(person.max() + 1, -np.inf)
    np.maximum.at(most, person[has_pose], values[has_pose])
    return np.where(np.isfinite(most), most, values[np.unique(person, return_index=True)[1]])


def rows(judged: dict[str, list[Resampled]], known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each member: means over seeds with intervals over people, how far the blend is ahead, and costs."""
    mean = {name: float(np.mean([once["f1"] for once, _ in of_seeds])) for name, of_seeds in judged.items()}
    over_people = {name: np.mean([drawn["f1"] for _, drawn in of_seeds], axis=0) for name, of_seeds in judged.items()}
    table = []
    for name, of_seeds in judged.items():
        row: dict[str, Any] = {"member": name, "seeds": len(of_seeds)}
        for figure in SHOWN:
            value = float(np.mean([once[figure] for once, _ in of_seeds]))
            interval = bootstrap.interval(value, np.mean([drawn[figure] for _, drawn in of_seeds], axis=0))
            row |= {figure: value, f"{figure}_low": interval["low"], f"{figure}_high": interval["high"]}
        f1 = [once["f1"] for once, _ in of_seeds]
        row |= {"f1_lowest_seed": min(f1), "f1_highest_seed": max(f1)}
        row["f1_optimistic"] = float(np.mean([once["best_f1"] for once, _ in of_seeds]))
        row |= dict.fromkeys(("blend_minus_member_f1", "blend_minus_member_f1_low", "blend_minus_member_f1_high"))
        if "blend" in judged:
            ahead = bootstrap.interval(mean["blend"] - mean[name], over_people["blend"] - over_people[name])
            row |= {
                "blend_minus_member_f1": ahead["value"],
                "blend_minus_member_f1_low": ahead["low"],
                "blend_minus_member_f1_high": ahead["high"],
            }
        cost = known.get(name, {})
        row |= {key: cost.get(key) for key in ("parameters", "gflop", "processor_seconds")}
        row |= {f"milliseconds_{way}": cost.get("milliseconds", {}).get(way) for way in ("alone", "in_batch")}
        table.append(row)
    return table


def markdown(table: list[dict[str, Any]], run: Run, settings: Compare) -> str:
    """The table as Markdown, with what must be known to read it."""
    data, people = run.data, len(set(run.data.children))
    label_of = dict(zip(data.children, data.labels, strict=True))
    labels = np.array(list(label_of.values())) if data.label_level is LabelLevel.CHILD else data.labels
    always = metrics.figures(labels, labels * 0.0 + 0.5, labels >= 0)["f1"]
    what = f"{len(data.labels)} segments of {people} people"
    if data.label_level is LabelLevel.CHILD:
        what += ", each person judged by the largest of its segments"
    lines = [
        f"{what}, T = {data.poses.shape[1]}, {run.folds} folds of whole people, prevalence {labels.mean():.3f}; always "
        f'"positive": F1 {always:.3f}. Means over {settings.seeds} seeds; in brackets 95 % intervals from resampling '
        "people. Everything that judges a fold was chosen on the other folds.",
        "",
    ]
    if data.simulated:
        lines.insert(0, console.SIMULATED + "\n")
    positives = {child for child, label in zip(data.children, data.labels, strict=True) if label}
    if len(positives) < FEW:
        lines.insert(0, f"Only {len(positives)} people have a positive segment: these figures mean nothing.\n")
    heads = [*HEADS, "F1 of single seeds", "F1 at one threshold (optimistic)", "blend ahead by F1"]
    lines += ["| member | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in table:
        cells = [f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})" for name in SHOWN]
        seeds = f"{row['f1_lowest_seed']:.3f} to {row['f1_highest_seed']:.3f}" if row["seeds"] > 1 else ""
        ahead = ""
        if row["blend_minus_member_f1"] is not None:
            ahead = f"{row['blend_minus_member_f1']:+.3f} ({row['blend_minus_member_f1_low']:+.3f} to {row['blend_minus_member_f1_high']:+.3f})"
        lines.append("| " + " | ".join([row["member"], *cells, seeds, f"{row['f1_optimistic']:.3f}", ahead]) + " |")
    lines += [
        "",
        "What it costs: training in seconds of processor time for all folds of a seed, answering in milliseconds of "
        f"one core from pose to logit by one fold, of a segment alone and of one among {profiling.BATCH}. GFLOP: "
        "thousand "
        "million operations of a network for a segment, a multiplication with its addition counting two.",
        "",
        "| member | parameters | GFLOP | training, s | alone, ms | in a batch, ms |",
        "|---|---|---|---|---|---|",
    ]
    for row in table:
        if row["latency_ms_batch1"] is None:
            continue
        shown = [
            row["member"],
            "" if row["parameters"] is None else f"{row['parameters']:,}",
            "" if row["gflop"] is None else f"{row['gflop']:.2f}",
            "" if row["processor_seconds"] is None else f"{row['processor_seconds']:.0f}",
            f"{row['latency_ms_batch1']:.1f}",
            f"{row['latency_ms_batch16']:.1f}",
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def drawn(table: list[dict[str, Any]], run: Run) -> bytes:
    """A picture of F1 with its interval, and of single seeds' range, for each member."""
    from matplotlib.figure import Figure

    from spasm.report.plots import to_png

    figure = Figure(figsize=(7, 0.5 * len(table) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(table)):
        axes.plot([row["f1_low"], row["f1_high"]], [place, place], color="#7a8ca0", linewidth=2, zorder=1)
        axes.plot(
            [row["f1_lowest_seed"], row["f1_highest_seed"]], [place, place], color="#1f4e79", linewidth=6, zorder=2
        )
        axes.plot(row["f1"], place, "o", color="white", markeredgecolor="#1f4e79", zorder=3)
    axes.set_yticks(range(len(table)), [row["member"] for row in reversed(table)])
    axes.set_xlabel("cross-fitted F1: mean over seeds, range of seeds (thick),\n95 % interval over people (thin)")
    axes.grid(axis="x", alpha=0.3)
    if run.data.simulated:
        axes.set_title("SIMULATED DATA")
    return to_png(figure, dpi=150)


if __name__ == "__main__":
    sys.exit(app.run(main, Compare, __doc__))
