"""Train every member with several seeds on the same folds, blend them, and put all of them into one table.

Stopped at any moment, the same command continues. Every figure is cross-fitted: weights, calibration and threshold that
judge a fold were chosen on the other folds.

Example: python src/compare.py --data input --seeds 3
"""

import io
import resource
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import command_line
from spasm import files, metrics, report_text, runs
from spasm.blending import Rows, nested
from spasm.dataset import load_training
from spasm.decision import best_threshold
from spasm.outcome import rebuild, seed_logits
from spasm.runs import MemberFolder, Run
from spasm.settings import Blend, Compare
from spasm.tables import read_table

SHOWN = ("f1", "auc", "average_precision", "sensitivity", "specificity", "brier")
HEADS = ("F1", "AUC", "average precision", "sensitivity", "specificity", "Brier")


def main(settings: Compare) -> int:
    command_line.check_members(settings.members)
    read, run_path = settings.read, settings.out / "run"
    data = load_training(read.data, read.frames, read.names, settings.cache)
    print(report_text.data_summary(data))
    for seed in range(settings.seeds):
        for name in settings.members:
            train(settings, name, seed)
    run = runs.reopen_run(run_path, data)
    result = rebuild(run, Blend(), settings.members)
    assert result is not None  # every member is complete
    judged = judge(run, settings.members, settings.seeds)
    judged[f"blend of all {settings.seeds} seeds"] = [resampled(run, *read_blend(run))]
    table = rows(judged, costs(settings))
    text = markdown(table, run, settings)
    files.write_csv(settings.out / "table.csv", list(table[0]), [list(row.values()) for row in table])
    files.write_bytes(settings.out / "table.md", text.encode())
    files.write_bytes(settings.out / "table.png", drawn(table, run))
    print(text)
    print(f"written: {settings.out}/table.md, table.csv, table.png and the run {run_path}")
    print(f"next:    python submission.py {shlex.join(['--run', str(run_path), '--test', str(read.data / 'test')])}")
    return 0


def train(settings: Compare, name: str, seed: int) -> None:
    """Train one member with one seed, unless it is there, and note what it cost."""
    read, split = settings.read, settings.split
    flags = ["--data", str(read.data), "--frames", str(read.frames), "--names", read.names, "--seed", str(seed)]
    flags += ["--run", str(settings.out / "run"), "--cache", str(settings.cache), "--workers", str(settings.workers)]
    flags += ["--folds", str(split.folds), "--fold-kind", split.fold_kind, "--fold-seed", str(split.fold_seed)]
    if split.folds_file is not None:
        flags += ["--folds-file", str(split.folds_file)]
    complete = seed in MemberFolder(settings.out / "run" / name).seeds()
    start, before = time.monotonic(), processor_seconds()
    command_line.call([command_line.MEMBER_SCRIPTS[name], *flags])
    if not complete:  # of a continued training only the last part is known, and it is not noted
        cost = {"seconds": time.monotonic() - start, "processor_seconds": processor_seconds() - before}
        files.write_json(cost_file(settings, name, seed), cost)
        print(f"{name} seed {seed}: {cost['seconds']:.0f} s, {cost['processor_seconds']:.0f} s of processor time")


def processor_seconds() -> float:
    """Time that finished child processes have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cost_file(settings: Compare, name: str, seed: int) -> Path:
    return settings.out / "costs" / f"{name}_seed_{seed}.json"


def costs(settings: Compare) -> dict[str, float]:
    """Processor seconds to train each member once, the mean over the seeds where it is known."""
    known: dict[str, float] = {}
    for name in settings.members:
        paths = [cost_file(settings, name, seed) for seed in range(settings.seeds)]
        noted = [files.read_json(path)["processor_seconds"] for path in paths if path.exists()]
        if noted:
            known[name] = float(np.mean(noted))
    if len(known) == len(settings.members):
        known["blend"] = sum(known.values())
        known[f"blend of all {settings.seeds} seeds"] = settings.seeds * known["blend"]
    return known


Resampled = tuple[dict[str, float], dict[str, np.ndarray]]


def judge(run: Run, members: tuple[str, ...], seeds: int) -> dict[str, list[Resampled]]:
    """Figures of each member and of their blend, one for each seed."""
    judged: dict[str, list[Resampled]] = {name: [] for name in (*members, "blend")}
    for seed in range(seeds):
        logits = {name: seed_logits(run, MemberFolder(run.path / name), seed) for name in members}
        for name in judged:
            chosen = logits if name == "blend" else {name: logits[name]}
            rows = Rows(chosen, np.array(run.data.children), run.data.has_pose)
            probabilities, positive, _ = nested(rows, run.data.labels, run.fold_of, Blend())
            judged[name].append(resampled(run, probabilities, positive))
    return judged


def read_blend(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Cross-fitted probabilities (N,) and answers (N,) bool of the run's own blend, whose members average all seeds."""
    table = read_table(run.path / "oof.csv", ("segment_name", "cross_fitted", "answer"))
    return np.array([float(row["cross_fitted"]) for row in table]), np.array([row["answer"] == "1" for row in table])


def resampled(run: Run, probabilities: np.ndarray, positive: np.ndarray) -> Resampled:
    labels = run.data.labels
    once, drawn = metrics.resampled(labels, probabilities, positive, run.data.children)
    best = metrics.figures(labels, probabilities, probabilities >= best_threshold(labels, probabilities))
    return once | {"best_f1": best["f1"]}, drawn


def rows(judged: dict[str, list[Resampled]], seconds: dict[str, float]) -> list[dict[str, Any]]:
    """One row for each member: means over seeds with intervals over people, and how far the blend is ahead of it."""
    blend = np.mean([drawn["f1"] for _, drawn in judged["blend"]], axis=0)
    blend_value = float(np.mean([once["f1"] for once, _ in judged["blend"]]))
    table = []
    for name, of_seeds in judged.items():
        row: dict[str, Any] = {"member": name, "seeds": len(of_seeds)}
        for figure in SHOWN:
            value = float(np.mean([once[figure] for once, _ in of_seeds]))
            interval = metrics.estimate(value, np.mean([drawn[figure] for _, drawn in of_seeds], axis=0))
            row |= {figure: value, f"{figure}_low": interval["low"], f"{figure}_high": interval["high"]}
        f1 = [once["f1"] for once, _ in of_seeds]
        row |= {"f1_lowest_seed": min(f1), "f1_highest_seed": max(f1)}
        row["f1_optimistic"] = float(np.mean([once["best_f1"] for once, _ in of_seeds]))
        ahead = metrics.estimate(
            blend_value - row["f1"], blend - np.mean([drawn["f1"] for _, drawn in of_seeds], axis=0)
        )
        row |= {"blend_ahead": ahead["value"], "blend_ahead_low": ahead["low"], "blend_ahead_high": ahead["high"]}
        row["processor_seconds"] = seconds.get(name)
        table.append(row)
    return table


def markdown(table: list[dict[str, Any]], run: Run, settings: Compare) -> str:
    """The table as Markdown, with what must be known to read it."""
    labels = run.data.labels
    always = metrics.figures(labels, labels * 0.0 + 0.5, labels >= 0)["f1"]
    lines = [
        f"{len(labels)} segments of {len(set(run.data.children))} people, {run.folds} folds of whole people, "
        f'prevalence {labels.mean():.3f}; always "positive": F1 {always:.3f}. Means over {settings.seeds} seeds; in '
        "brackets 95 % intervals from resampling people. Everything that judges a fold was chosen on the other folds.",
        "",
        "| member | "
        + " | ".join(HEADS)
        + " | F1 of single seeds | F1 at one threshold (optimistic) | blend ahead by F1 |"
        " processor minutes |",
        "|---" * (len(HEADS) + 5) + "|",
    ]
    if run.data.simulated:
        lines.insert(0, report_text.SIMULATED + "\n")
    positives = {child for child, label in zip(run.data.children, labels, strict=True) if label}
    if len(positives) < 10:
        lines.insert(0, f"Only {len(positives)} people have a positive segment: these figures mean nothing.\n")
    for row in table:
        cells = [f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})" for name in SHOWN]
        minutes = "" if row["processor_seconds"] is None else f"{row['processor_seconds'] / 60:.1f}"
        ahead = f"{row['blend_ahead']:+.3f} ({row['blend_ahead_low']:+.3f} to {row['blend_ahead_high']:+.3f})"
        seeds = f"{row['f1_lowest_seed']:.3f} to {row['f1_highest_seed']:.3f}" if row["seeds"] > 1 else ""
        shown = [row["member"], *cells, seeds, f"{row['f1_optimistic']:.3f}", ahead, minutes]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def drawn(table: list[dict[str, Any]], run: Run) -> bytes:
    """A picture of F1 with its interval, and of single seeds' range, for each member."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(table) + 1.4), layout="constrained")
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
    with io.BytesIO() as picture:
        figure.savefig(picture, format="png", dpi=150, metadata={"Software": None})
        pyplot.close(figure)
        return picture.getvalue()


if __name__ == "__main__":
    sys.exit(command_line.run(main, Compare, __doc__))
