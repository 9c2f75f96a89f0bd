"""Tell how far the simulation is from real recordings, and how hard it is.

Prints the noise of simulated windows beside that of real ones; with --real-data also how well a classifier tells
the two apart; how well plain statistics find the simulated spasms; what the label leaks; what filming the cohorts
differently does; and with --predictions how often the time of the highest attention lies inside a true event.
Everything is SIMULATED or about the simulation: no figure says anything about patients.

Example: python src/check_simulation.py --real-data input/babyjokes
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from sklearn.metrics import roc_auc_score

from spasm.cli import app
from spasm.config.fields import Count, Seed, settings, within
from spasm.core.errors import DataError, printable
from spasm.core.tables import read_table
from spasm.data.naming import child_of, list_segments
from spasm.data.pose import FPS, visible_mask
from spasm.data.recordings import frames_of
from spasm.data.segments import read_pose
from spasm.ensemble.thresholds import cross_fitted
from spasm.simulation import infant, realism
from spasm.simulation.infant import SimulationConfig, simulate_child
from spasm.simulation.realism import BABYJOKES


@settings
class Calibrate:
    """Flags of check_simulation.py."""

    real_data: Path | None = None
    """Folder of real windows in the challenge's layout, such as those of InfantLab/babyjokes, to compare with."""
    data: Path = Path("input/demo")
    """Folder written by simulate.py, for --predictions."""
    predictions: Path | None = None
    """FILE_probabilities.csv of submission.py for test/ of --data: how often its moment lies in a true event."""
    children: Annotated[int, within(20, 100_000)] = 60
    """Children to simulate for the difficulty; leaks and cohorts take more."""
    segments_per_child: Count = 10
    """Segments of each child."""
    seed: Seed = 7
    """Seed of the simulation."""


TABLE_CHILDREN, TABLE_SEGMENTS = 120, 4  # simulated at a table, to compare with
# With few children an AUC of leaks moves by chance; so many times --children are simulated for it, few segments each.
LEAK_CHILDREN, LEAK_SEGMENTS = 20, 3
COHORT_CHILDREN = 5  # times --children, for the same reason


def main(settings: Calibrate) -> int:
    seed = settings.seed
    real = read_windows(settings.real_data) if settings.real_data else None
    table = Drawn(SimulationConfig(camera_setup="table"), TABLE_CHILDREN, TABLE_SEGMENTS, seed)
    print("SIMULATED data, or the difference from it: no figure says anything about patients.")
    print_noise(table.poses, real[0] if real else None)
    if real:
        for name, statistics in (("noise", realism.noise_statistics), ("motion", realism.motion_statistics)):
            auc = realism.told_apart(statistics(real[0]), real[1], statistics(table.poses), table.children)
            print(f"real against simulated by {name}: AUC {auc:.3f} (0.5: cannot be told apart)")

    usual = Drawn(SimulationConfig(), settings.children, settings.segments_per_child, seed)
    print(
        f"\ndifficulty: {len(usual.labels)} segments of {settings.children} children, seed {seed}, "
        "folds of whole children"
    )
    print(f"prevalence {usual.labels.mean():.3f}")
    print(f"LightGBM on plain kinematic statistics: AUC {usual.auc(realism.plain_statistics(usual.poses)):.3f}")
    print(f"positive segments whose spasms lie wholly in gaps: {usual.hidden:.3f}")
    once = np.zeros(len(usual.labels), dtype=int)
    print(f"peak speed alone: AUC {realism.roc_auc(usual.labels, realism.peak_speed(usual.poses), once):.3f}")
    many = Drawn(SimulationConfig(), LEAK_CHILDREN * settings.children, LEAK_SEGMENTS, seed)
    leak = many.auc(realism.leak_statistics(many.names, many.poses))
    print(f"length, gaps, order and names, {len(many.labels)} segments: AUC {leak:.3f} (0.5: tell nothing)")

    print("\ncohorts               F1 pooled   F1 of patients   AUC pooled   AUC within a patient, mean")
    print("                     (F1 of all children at the patients' prevalence)")
    for confound in (False, True):
        print_cohorts(
            Drawn(
                SimulationConfig(confound=confound),
                COHORT_CHILDREN * settings.children,
                settings.segments_per_child,
                seed,
            ),
            confound,
        )
    if settings.predictions:
        print_moments(settings.data, settings.predictions)
    return 0


class Drawn:
    """Simulated segments in memory: poses (N, T, 33, 5), labels, children, cohorts and names (N,)."""

    def __init__(self, world: SimulationConfig, children: int, segments: int, seed: int) -> None:
        drawn = [
            (child, k, segment)
            for child in range(1, children + 1)
            for k, segment in enumerate(simulate_child(seed, child, segments, world), start=1)
        ]
        self.poses = np.stack([segment.pose.astype(np.float32) for _, _, segment in drawn])
        self.labels = np.array([segment.label for _, _, segment in drawn])
        self.children = np.array([child for child, _, _ in drawn])
        self.controls = np.array([infant.cohort(seed, child) == "control" for child, _, _ in drawn])
        positive = [segment for _, _, segment in drawn if segment.label]
        self.hidden = np.mean(
            [
                not any(visible_mask(segment.pose[event.start : event.end]).any() for event in segment.events)
                for segment in positive
            ]
        )
        self.names = [f"child_{child}_{k}.npy" for child, k, _ in drawn]

    def auc(self, statistics: np.ndarray) -> float:
        return realism.grouped_auc(statistics, self.labels, self.children)


def read_windows(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, 150, 33, 5) and children (N,) of the segments in `data`/train."""
    paths = list_segments(data / "train", "challenge", data)
    poses = np.stack([read_pose(path, SimulationConfig().frames, data) for path in paths])
    return poses, np.array([child_of(path.name) for path in paths])


def print_noise(simulated: np.ndarray, real: np.ndarray | None) -> None:
    """The calibration table."""
    ours = realism.noise_figures(simulated)
    theirs = realism.noise_figures(real) if real is not None else {name: row.real for name, row in BABYJOKES.items()}
    source = "these" if real is not None else "InfantLab/babyjokes"
    print(f"{'noise, filmed at a table':42} {'real':>9} {'simulated':>9} {'bounds':>17}   (real: {source})")
    for name, row in BABYJOKES.items():
        held = "" if row.low <= ours[name] <= row.high else "  outside"
        print(f"{name:42} {theirs[name]:9.4g} {ours[name]:9.4g} {row.low:8.4g}-{row.high:.4g}{held}")


def print_cohorts(drawn: Drawn, confound: bool) -> None:
    """What a model that sees how a segment was filmed gains over all children, and within a patient."""
    statistics = np.concatenate([realism.plain_statistics(drawn.poses), realism.noise_statistics(drawn.poses)], axis=1)
    fold_of = realism.child_folds(drawn.children, 5)
    scores = realism.out_of_fold(statistics, drawn.labels, fold_of)
    answers, _ = cross_fitted(drawn.labels, scores, fold_of)
    patients = ~drawn.controls
    prevalence = drawn.labels[patients].mean()
    within = [
        roc_auc_score(drawn.labels[here], scores[here])
        for here in (drawn.children == child for child in np.unique(drawn.children))
        if 0 < drawn.labels[here].mean() < 1
    ]
    print(
        f"{'filmed differently' if confound else 'filmed alike':20} {f1(drawn.labels, answers, prevalence):10.3f} "
        f"{f1(drawn.labels[patients], answers[patients], prevalence):16.3f} "
        f"{realism.roc_auc(drawn.labels, scores, fold_of):12.3f} {np.mean(within):28.3f}"
    )


def f1(labels: np.ndarray, positive: np.ndarray, prevalence: float) -> float:
    """F1 as it would be at this prevalence, so that all children and patients alone can be compared."""
    hits, false_alarms = positive[labels == 1].mean(), positive[labels == 0].mean()
    return float(2 * prevalence * hits / (prevalence * (1 + hits) + (1 - prevalence) * false_alarms))


def print_moments(data: Path, answers: Path) -> None:
    """How often the frame with the greatest weight lies inside a true event, against any frame with a pose."""
    truth = {row["segment_name"]: row for row in read_table(data / "truth.csv", ("segment_name", "label"))}
    hits, probabilities = [], []
    for row in read_table(answers, ("segment_name", "peak_time_s")):
        true = truth.get(row["segment_name"])
        if true is None:
            hint = f"--predictions wants the answers for the test/ of {printable(data)}"
            raise DataError(answers, f"{row['segment_name']} is not in {printable(data / 'truth.csv')}", hint)
        if true["label"] != "1" or not row["peak_time_s"]:
            continue
        path = data / true.get("split", "") / row["segment_name"]
        pose = read_pose(path, frames_of(path), data)
        inside = np.zeros(len(pose), dtype=bool)
        for prefix in ("event", "second"):
            if true[f"{prefix}_start_frame"]:
                inside[int(true[f"{prefix}_start_frame"]) : int(true[f"{prefix}_end_frame"])] = True
        hits.append(inside[min(round(float(row["peak_time_s"]) * FPS), len(inside) - 1)])
        probabilities.append(inside[visible_mask(pose).any(axis=-1)].mean())
    if not hits:
        raise DataError(answers, "answers no positive segment with a moment", "simulate more children")
    print(
        f"\nattention, {len(hits)} positive segments of children not trained on: "
        f"inside a true event {np.mean(hits):.3f}, by chance {np.mean(probabilities):.3f}"
    )


if __name__ == "__main__":
    sys.exit(app.run(main, Calibrate, __doc__))
