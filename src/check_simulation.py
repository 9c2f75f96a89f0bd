"""Measure how close the simulation is to real recordings, and how difficult it is.

Prints the noise and the speeds of simulated windows beside those of real ones; how well plain statistics find the
simulated spasms; what the label leaks; and the effect of recording the cohorts differently. With --real-data, also how
well a classifier distinguishes real from simulated windows; with --predictions, how often the time of the highest
attention is inside a true event. Everything is SIMULATED or about the simulation: no metric is about patients.

Examples:
  python src/check_simulation.py --data input/demo --predictions output/demo/submission_probabilities.csv
  python src/check_simulation.py --real-data input/babyjokes
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app
from spasm.config.fields import Count, Seed, settings, within
from spasm.core.errors import DataError
from spasm.core.nearby import where_missing
from spasm.ensemble.thresholds import cross_fitted
from spasm.report import realism_text
from spasm.simulation import difficulty, realism
from spasm.simulation.difficulty import SimulatedSample
from spasm.simulation.infant import SimulationConfig


@settings
class CheckSimulation:
    """Flags of check_simulation.py."""

    real_data: Path | None = None
    """Folder of real windows in the challenge's layout, such as those of InfantLab/babyjokes."""
    data: Path = Path("input/demo")
    """Folder written by simulate.py, for --predictions."""
    predictions: Path | None = None
    """FILE_probabilities.csv that submission.py wrote for test/ of --data."""
    children: Annotated[int, within(20, 100_000)] = 60
    """Children to simulate for the difficulty; leaks and cohorts use more."""
    segments_per_child: Count = 10
    """Segments of each child."""
    seed: Seed = 7
    """Seed of the simulation."""


TABLE_CHILDREN, TABLE_SEGMENTS = 120, 4  # simulated at a table, to compare with
# With few children an AUC of leaks is noisy; so many times --children are simulated for it, few segments each.
LEAK_CHILDREN, LEAK_SEGMENTS = 20, 3
COHORT_CHILDREN = 5  # times --children, for the same reason


def main(settings: CheckSimulation) -> int:
    if settings.predictions:  # checked before the minutes that the rest takes
        for path in (settings.predictions, settings.data / "truth.csv"):
            if not path.is_file():
                hint = f"{where_missing(path)} make demo writes one; --data and --predictions name others"
                raise DataError(path, "is not there", hint)
    children, segments, seed = settings.children, settings.segments_per_child, settings.seed
    real = difficulty.read_windows(settings.real_data) if settings.real_data else None
    table = SimulatedSample(SimulationConfig(camera_setup="table"), TABLE_CHILDREN, TABLE_SEGMENTS, seed)
    print("SIMULATED data, or the difference from it: no metric is about patients.")
    of_real = realism.noise_metrics(real[0]) if real else None
    print(realism_text.noise_table(realism.noise_metrics(table.poses), of_real))
    if real:
        for name, statistics in (("noise", realism.noise_statistics), ("motion", realism.motion_statistics)):
            auc = realism.real_or_simulated_auc(statistics(real[0]), real[1], statistics(table.poses), table.children)
            print(f"real against simulated by {name}: AUC {auc:.3f} (0.5: cannot be distinguished)")

    usual = SimulatedSample(SimulationConfig(), children, segments, seed)
    at_table, at_home = (realism.speed_metrics(s.poses[s.resting], s.aspects[s.resting]) for s in (table, usual))
    # --real-data are taken for pictures of 4:3, as those of InfantLab/babyjokes.
    moved = realism.speed_metrics(real[0], [realism.TABLE_ASPECT] * len(real[0])) if real else None
    print(f"\n{realism_text.speed_table(at_table, at_home, moved)}")
    print(f"\ndifficulty: {len(usual.labels)} segments of {children} children, seed {seed}, folds of whole children")
    print(f"prevalence {usual.labels.mean():.3f}")
    print(f"LightGBM on plain kinematic statistics: AUC {usual.auc(realism.plain_statistics(usual.poses)):.3f}")
    print(f"positive segments whose spasms are wholly in gaps: {usual.hidden_fraction:.3f}")
    print(f"peak speed alone: AUC {usual.peak_speed_auc():.3f}")
    many = SimulatedSample(SimulationConfig(), LEAK_CHILDREN * children, LEAK_SEGMENTS, seed)
    leak = many.auc(realism.leak_statistics(many.names, many.poses))
    print(f"length, gaps, order and names, {len(many.labels)} segments: AUC {leak:.3f} (0.5: they carry no label)")

    cohorts = {}
    for name, confound in (("recorded alike", False), ("recorded differently", True)):
        sample = SimulatedSample(SimulationConfig(confound=confound), COHORT_CHILDREN * children, segments, seed)
        scores, fold_of = sample.camera_scores()
        positive, _ = cross_fitted(sample.labels, scores, fold_of)
        cohorts[name] = difficulty.cohort_metrics(sample, scores, fold_of, positive)
    print(f"\n{realism_text.cohort_table(cohorts)}")
    if settings.predictions:
        hits = difficulty.attention_hits(settings.data, settings.predictions)
        print(
            f"\nattention, {hits.segments} positive segments of children not trained on: "
            f"inside a true event {hits.inside:.3f}, by chance {hits.by_chance:.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, CheckSimulation, __doc__))
