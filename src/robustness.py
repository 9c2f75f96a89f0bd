"""How a run's members and their blend stand gaps, jitter, roll, other frame rates and missing limbs.

Every child is answered by the fold that never saw it, from poses made worse in one way at a time; weights, calibration
and threshold are those the other folds chose on poses as they were.

Example: python src/robustness.py --run output/main
"""

import dataclasses
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from joblib import cpu_count

from spasm.cli import app, progress
from spasm.config.ensemble import Blend
from spasm.config.fields import from_tree, settings, within
from spasm.config.runtime import Hardware, RunData
from spasm.core import files, processes
from spasm.data.dataset import TrainingData, load_training
from spasm.ensemble.blending import BlendParameters, OofScores, cross_fit
from spasm.evaluation import metrics
from spasm.evaluation.corruptions import TRIED
from spasm.inference.ensemble_predictor import result
from spasm.models.registry import open_scorer
from spasm.report import console
from spasm.runs.decision_json import open_decision
from spasm.runs.run import Run, read_run, reopen_run
from spasm.runs.summarize import complete_logits, require_complete


@settings
class Robustness(RunData):
    """Flags of robustness.py."""

    run: Path = Path("output/main")
    """Run folder to judge; robustness.csv and robustness.png are written there."""
    workers: Annotated[int, within(0, 256)] = 0
    """Folds scored side by side, one thread each; 0 means one per CPU core."""
    hardware: Hardware = Hardware()


BATCH = 64  # segments
COLUMNS = ("corruption", "severity", "member", "f1", "f1_low", "f1_high", "sensitivity", "specificity", "auc")


def main(settings: Robustness) -> int:
    decision = open_decision(settings.run)
    made = read_run(settings.run)
    data = load_training(settings.data or Path(made["data"]["path"]), made["frames"], "safe", settings.cache)
    run = reopen_run(settings.run, data)
    logits = complete_logits(run)
    require_complete(run, logits, decision["members"])
    tasks = [(name, fold) for name in decision["members"] for fold in range(run.folds)]
    damaged = {name: {key: logits[name].copy() for key in all_damage()} for name in decision["members"]}
    spawn = multiprocessing.get_context("spawn")
    with progress.progress("scoring", total=len(tasks), unit="fold") as bar:
        for name in decision["members"]:  # a new pool for each, so that torch and LightGBM never share a process
            with ProcessPoolExecutor(settings.workers or cpu_count(), spawn) as pool:
                waiting = {
                    fold: pool.submit(
                        score_fold, os.getpid(), run, name, decision["members"][name], fold, settings.hardware
                    )
                    for fold in range(run.folds)
                }
                for fold, future in waiting.items():
                    rows = np.flatnonzero((run.fold_of == fold) & data.has_pose)
                    for key, values in result(future).items():
                        damaged[name][key][rows] = values
                    bar.update()
    table = figures(run, from_tree(Blend, decision["blend"]), logits, damaged)
    files.write_csv(settings.run / "robustness.csv", COLUMNS, table)
    files.write_bytes(settings.run / "robustness.png", drawn(table, data))
    print(console.data_summary(data))
    print(text(table))
    print(f"written: {settings.run}/robustness.csv, robustness.png")
    return 0


def all_damage() -> list[tuple[str, str]]:
    return [(kind, amount) for kind, amounts in TRIED.items() for amount in amounts]


def score_fold(
    parent: int, run: Run, name: str, chosen: dict[str, Any], fold: int, hardware: Hardware
) -> dict[tuple[str, str], np.ndarray]:
    """Logits of a fold's held-out segments with a pose by that fold's model, for every damage."""
    processes.die_with_parent(parent)
    if name != "lgbm":
        processes.set_threads(threads=1)
    scorer = open_scorer(run.path, name, chosen, [fold], hardware)
    rows = np.flatnonzero((run.fold_of == fold) & run.data.has_pose)
    scored = {}
    for number, (kind, amount) in enumerate(all_damage()):
        generator = np.random.default_rng([fold, number])  # the same for every member
        parts = []
        for start in range(0, len(rows), BATCH):
            poses = TRIED[kind][amount](np.array(run.data.poses[rows[start : start + BATCH]]), generator)
            parts.append(scorer.score(poses, np.arange(len(poses)))[0].mean(axis=0))
        scored[kind, amount] = np.concatenate(parts)
    return scored


def figures(
    run: Run, blend: Blend, logits: dict[str, np.ndarray], damaged: dict[str, dict[tuple[str, str], np.ndarray]]
) -> list[tuple[Any, ...]]:
    """One row of COLUMNS for each damage and member, the blend last."""
    labels, data = run.data.labels, run.data
    rows = OofScores({name: logits[name] for name in damaged}, np.array(data.children), data.has_pose)
    judged = {name: dataclasses.replace(rows, logits={name: logits[name]}) for name in damaged} | {"blend": rows}
    alone = dataclasses.replace(blend, child_context=False)
    choices = {
        name: cross_fit(clean, labels, run.fold_of, blend if name == "blend" else alone)[2]
        for name, clean in judged.items()
    }
    table = []
    for key in all_damage():
        for name, clean in judged.items():
            worse = dataclasses.replace(clean, logits={member: damaged[member][key] for member in clean.logits})
            probabilities, positive = answers(run, worse, choices[name])
            values = metrics.evaluate(labels, probabilities, positive, data.children)
            f1 = values["f1"]
            more = [values[figure]["value"] for figure in ("sensitivity", "specificity", "auc")]
            table.append((*key, name, f1["value"], f1["low"], f1["high"], *more))
    return table


def answers(run: Run, rows: OofScores, choices: list[BlendParameters]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and answers of every segment by what was chosen without its fold."""
    probabilities, positive = np.zeros(len(run.fold_of)), np.zeros(len(run.fold_of), dtype=bool)
    for fold, choice in enumerate(choices):
        scored = run.fold_of == fold
        probabilities[scored] = choice.probability(rows.at(scored))
        positive[scored] = probabilities[scored] >= choice.threshold
    return probabilities, positive


def text(table: list[tuple[Any, ...]]) -> str:
    """F1 of each member by damage, as a table for a terminal."""
    members = list(dict.fromkeys(row[2] for row in table))
    f1 = {(row[0], row[1], row[2]): row[3] for row in table}
    lines = ["", f"{'F1':34}" + "".join(f"{name:>11}" for name in members)]
    for kind, amount in all_damage():
        lines.append(f"{f'{kind} {amount}':34}" + "".join(f"{f1[kind, amount, name]:11.3f}" for name in members))
    return "\n".join(lines)


def drawn(table: list[tuple[Any, ...]], data: TrainingData) -> bytes:
    """The same as a picture (PNG): one panel for each kind of damage, one line for each member."""
    from matplotlib.figure import Figure

    from spasm.report.plots import to_png

    kinds = [kind for kind in TRIED if kind != "as it is"]
    members = list(dict.fromkeys(row[2] for row in table))
    figure = Figure(figsize=(3 * len(kinds), 3.2), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True)
    for panel, kind in zip(panels, kinds, strict=True):
        amounts = ["none", *TRIED[kind]]
        for number, name in enumerate(members):
            f1 = [row[3] for row in table if row[2] == name and row[0] in ("as it is", kind)]
            style = {"color": f"C{number}", "marker": "osD^v"[number % 5], "linewidth": 2.5 if name == "blend" else 1}
            panel.plot(amounts, f1, label=name, **style)
        panel.set_xlabel(kind)
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.3)
        panel.tick_params(axis="x", rotation=30)
    panels[0].set_ylabel("F1, cross-fitted")
    panels[0].legend(loc="lower left", fontsize=8)
    title = f"{len(data.names)} segments of {len(set(data.children))} people"
    figure.suptitle(f"{title} (SIMULATED)" if data.simulated else title)
    return to_png(figure)


if __name__ == "__main__":
    sys.exit(app.run(main, Robustness, __doc__))
