"""Does reviewing what a run detects make the next training better? The whole circle, on SIMULATED children.

Round one: a run is trained on simulated segments and detects events in long recordings of other children, at a
sensitive rule. A simulated reviewer accepts what overlaps a true spasm, with corrected times, and rejects the rest.
Segments are cut from the reviewed recordings (segments_from_events.py) and added to the first ones; round two is a
training on both. Both runs are then evaluated on recordings and segments of further children. Controls with the same
recordings: the review without segments of rejected events, as many random segments with true labels, and segments
from all true spasms. Stopped at any moment, the same command continues.

Example: python benchmarks/review_circle.py --models lgbm,rocket --arms review,random,all_events
"""

import dataclasses
import functools
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import segments_from_events
from benchmarks.landmarks import train_run
from segments_from_events import SegmentsFromEvents
from spasm.cli import app, progress, train
from spasm.config.data import Folds
from spasm.config.events import Accumulation
from spasm.config.fields import FLAT, PER_CORE, Probability, SettingsError, Shown, settings, within
from spasm.config.runtime import ABSTAIN, Cache, Hardware
from spasm.core import files
from spasm.core.nearby import nearest_name
from spasm.core.outputs import check_folder
from spasm.core.tables import read_table
from spasm.data import reviews, segment_cutting, segment_folder
from spasm.data.dataset import load_training
from spasm.data.naming import child_of
from spasm.data.pose import FPS, POSITIVE_S
from spasm.data.recordings import check_recordings
from spasm.data.segment_cutting import ELSEWHERE, EVENT, Cutting, Segment
from spasm.data.true_events import TrueEvents, read_true_events
from spasm.evaluation import bootstrap, metrics
from spasm.inference import event_evaluation, sliding_window
from spasm.inference.event_detection import Event, Windows, detect_events
from spasm.inference.event_rule_selection import count
from spasm.inference.trained_run import TrainedRun
from spasm.models.model import Model
from spasm.models.registry import models_named
from spasm.report import console
from spasm.runs.artefacts import read_decision
from spasm.simulation.dataset_writer import write_dataset
from spasm.simulation.infant import SimulationConfig

MODELS = ("lgbm", "rocket")  # by default; a network takes far longer
LIMITS = (1.0, 3.0, 10.0, 30.0)  # false alarms per hour
EVERY_S = 5.0  # between the windows whose AUC is taken, so that they do not overlap
LEVELS = 120  # thresholds tried for the limits
TOLERANCE_S = 1.0
REFRACTORY_S = 5.0
COLUMNS = ("arm", "metric", "first", "second", "difference", "difference_low", "difference_high", "seeds")
ARMS = ("review", "accepted_only", "random", "all_events")


@settings
class ReviewCircle:
    """Flags of benchmarks/review_circle.py, beside those of the models."""

    out: Path = Path("output/review_circle")
    """Folder for the data, the runs and the table."""
    models: train.Models = MODELS
    """Models to train, by spaces or commas."""
    arms: Annotated[tuple[str, ...], Shown(value="NAMES")] = ("review",)
    """What is added for round two, by spaces or commas: review; accepted_only (the review without segments of rejected
    events); random (as many random segments of the same recordings with true labels); all_events (segments from all
    true spasms)."""
    seeds: Annotated[int, within(1, 100)] = 3
    """How often all is repeated, with other children each time."""
    children: Annotated[int, within(4, 100_000)] = 60
    """Children of the first data; a quarter of them is held out and not used."""
    segments_per_child: Annotated[int, within(1, 10_000)] = 8
    """Segments of each of them."""
    recordings: Annotated[int, within(4, 10_000)] = 12
    """Recordings to review, each of another child."""
    minutes: Annotated[float, within(1, 1440)] = 20.0
    """Length of each."""
    new_recordings: Annotated[int, within(4, 10_000)] = 18
    """Recordings to evaluate on, each of another child."""
    new_minutes: Annotated[float, within(1, 1440)] = 10.0
    """Length of each."""
    new_segments: Annotated[int, within(1, 10_000)] = 20
    """Segments to evaluate on, of each of the same children."""
    queue_threshold: Probability = 0.85
    """Probability at which an event is detected and reviewed; meant for about ten false alarms an hour."""
    error_rate: Probability = 0.0
    """Fraction of the reviewer's decisions that are wrong."""
    adding: Probability = 0.0
    """Fraction of the missed spasms that the reviewer adds."""
    onset_noise_s: Annotated[float, within(0, 5)] = 0.2
    """Standard deviation of the reviewer's times around the true ones."""
    cutting: Annotated[Cutting, FLAT] = Cutting()
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each."""
    split: Annotated[Folds, FLAT] = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT] = Hardware()


class Scores(NamedTuple):
    """Metrics of one run on the new children of one seed, and their replicates over the same resamples of these."""

    point: dict[str, float]
    replicates: dict[str, np.ndarray]
    """(R,) by name."""
    children: int


def flags(words: list[str]) -> type[ReviewCircle]:
    """The flags of this script with the settings of the models that it names."""
    models = models_named(app.values_of("--models", words) or MODELS)
    made: type[ReviewCircle] = train.with_models(ReviewCircle, models)
    return made


def main(settings: ReviewCircle) -> int:
    models = models_named(settings.models)
    arms = [arm for value in settings.arms for arm in value.split(",")]
    if unknown := [arm for arm in arms if arm not in ARMS]:
        hint = nearest_name(unknown[0], ARMS) or f"the arms are {', '.join(ARMS)}"
        raise SettingsError(f"--arms {unknown[0]} is unknown; {hint}")
    if "random" in arms and "review" not in arms[: arms.index("random")]:
        raise SettingsError("--arms random needs the number of segments of review; name review before it")
    check_folder(settings.out, ("table.csv", "queue.json"), "seed_*/first/train_data.csv")
    scores: dict[tuple[str, int], Scores] = {}
    queues: dict[str, dict[str, Any]] = {}
    for arm, seed in itertools.product(arms, range(settings.seeds)):
        folder = settings.out / f"seed_{seed}"
        simulate(settings, folder, seed)
        if seed not in {number for name, number in scores if name == "first"}:
            scores["first", seed] = train_and_score(settings, models, folder, "first", seed)
        queues.setdefault(f"seed {seed}", {}).update(add_segments(settings, folder, arm, seed))
        scores[arm, seed] = train_and_score(settings, models, folder, arm, seed)
        rows = table(scores)
        files.write_csv(settings.out / "table.csv", COLUMNS, rows, files.TABLE_DIGITS)
        files.write_json(settings.out / "queue.json", queues)
        print(text(rows), flush=True)
    for name, queue in queues.items():
        print(f"{name}: {json.dumps(queue)}")
    print(console.SIMULATED)
    print(f"written: {settings.out}/table.csv, queue.json (what was reviewed), and the runs")
    return 0


# ---- data


def simulate(settings: ReviewCircle, folder: Path, seed: int) -> None:
    """Simulate the data of a seed where it is missing: first, queue (to review) and new, of other children each."""
    world = SimulationConfig(frames=settings.cutting.frames)
    sets = {
        "first": (settings.children, settings.segments_per_child, 0, 1.0),
        "queue": (settings.recordings, 1, settings.recordings, settings.minutes),
        "new": (settings.new_recordings, settings.new_segments, settings.new_recordings, settings.new_minutes),
    }
    for number, (name, (children, segments, recordings, minutes)) in enumerate(sets.items(), start=1):
        if not (folder / name / "simulated.json").exists():
            write_dataset(
                folder / name, children, segments, 1000 * (seed + 1) + number, world, recordings, minutes,
                workers=settings.workers, progress=functools.partial(progress.progress, "simulate"),
            )  # fmt: skip


def recordings_of(data: Path) -> list[Path]:
    """The recordings of a simulated data set."""
    return sorted((data / "recordings").iterdir())


def true_events(data: Path) -> TrueEvents:
    """The true events of a simulated data set."""
    lengths = {path: one.frames for path, one in check_recordings(recordings_of(data)).items()}
    return read_true_events(data / "events.csv", lengths, {})


def predict(settings: ReviewCircle, run: Path, data: Path, out: Path) -> dict[Path, Windows]:
    """The windows of the recordings of a data set, one a second; saved in `out`."""
    checked = check_recordings(recordings_of(data))
    return sliding_window.predict_recordings(
        checked, run, read_decision(run), 1.0, ABSTAIN, settings.hardware, out,
        lambda total: progress.progress("predict", total=total, unit="frame"),
    )  # fmt: skip


# ---- what is added for round two


def add_segments(settings: ReviewCircle, folder: Path, arm: str, seed: int) -> dict[str, Any]:
    """Write the folder of an arm: the first data and what is added; gives what was reviewed and cut."""
    queue, out = folder / "queue", folder / arm
    truth = true_events(queue)
    if arm == "review" or not (folder / "review.csv").exists():
        predicted = predict(settings, folder / "run_first", queue, folder / "queue_predicted")
        rule = Accumulation(1, settings.queue_threshold, 0.0, REFRACTORY_S)
        detected = {path.name: detect_events(windows, rule) for path, windows in predicted.items()}
        rows = review(settings, detected, truth.spans, seed)
        files.write_csv(folder / "review.csv", reviews.COLUMNS, rows)
        about = describe_queue(predicted, detected, truth.spans)
    else:
        about = {}
    if not (out / segment_folder.MARKER).exists():
        if arm == "random":
            write_random(settings, folder, out, truth, seed)
        else:
            table = queue / "events.csv" if arm == "all_events" else folder / "review.csv"
            hard = 0 if arm == "accepted_only" else settings.cutting.hard_negatives
            cutting = dataclasses.replace(settings.cutting, hard_negatives=hard)
            given = SegmentsFromEvents((queue / "recordings",), (table,), out, folder / "first", False, cutting)
            segments_from_events.main(given)
    return {**about, arm: describe_segments(out, truth.spans, settings.cutting.frames)}


def review(
    settings: ReviewCircle, detected: Mapping[str, Sequence[Event]], truth: Mapping[str, np.ndarray], seed: int
) -> list[tuple[Any, ...]]:
    """Rows of review.csv by a simulated reviewer, who sees what the simulator knows."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 24]))

    def with_noise(span: np.ndarray) -> tuple[str, str]:
        onset_s, offset_s = span + rng.normal(0, settings.onset_noise_s, 2)
        onset_s = max(0.0, onset_s)
        return f"{onset_s:.2f}", f"{max(offset_s, onset_s + 0.2):.2f}"

    rows: list[tuple[Any, ...]] = []
    for name, events in detected.items():
        missed = np.ones(len(truth[name]), dtype=bool)
        for event in events:
            shared = np.minimum(truth[name][:, 1], event.offset_s) - np.maximum(truth[name][:, 0], event.onset_s)
            near = shared > -TOLERANCE_S
            missed &= ~near
            as_detected = f"{event.onset_s:.2f}", f"{event.offset_s:.2f}"
            accepted = near.any() != (rng.random() < settings.error_rate)
            times = with_noise(truth[name][int(np.argmax(shared))]) if near.any() and accepted else as_detected
            kind, decision = ("spasm", "accepted") if accepted else ("other", "rejected")
            peak = f"{event.peak:.4f}"
            rows.append((name, *times, kind, decision, "detected", *as_detected, peak, "simulated", ""))
        for span in truth[name][missed]:
            if rng.random() < settings.adding:
                rows.append((name, *with_noise(span), "spasm", "accepted", "added", "", "", "", "simulated", ""))
    return rows


def write_random(settings: ReviewCircle, folder: Path, out: Path, truth: TrueEvents, seed: int) -> None:
    """As many segments of each child as the review gave, at random places, with true labels."""
    wanted: dict[str, int] = {}
    for row in read_table(folder / "review/origin.csv", segment_folder.ORIGIN_COLUMNS):
        wanted[child_of(row["recording"])] = wanted.get(child_of(row["recording"]), 0) + 1
    segments: dict[str, list[Segment]] = {}
    for path in recordings_of(folder / "queue"):
        one = segment_cutting.inspect(path, truth)
        rng = segment_cutting.generator(seed + 1, child_of(path.name))
        chosen: list[Segment] = []
        for start in rng.permutation(len(one.has_pose) - settings.cutting.frames + 1).tolist():
            if len(chosen) == wanted.get(child_of(path.name), 0):
                break
            apart = all(abs(start - other.start) >= settings.cutting.frames for other in chosen)
            if apart and segment_cutting.is_seen_enough(one, start, settings.cutting.frames, ABSTAIN):
                span = spasm_inside(start, settings.cutting.frames, one.accepted)
                kind, name = (ELSEWHERE, "") if span is None else (EVENT, "spasm")
                chosen.append(Segment(path, start, kind, span, name))
        segments[child_of(path.name)] = chosen
    first = segment_folder.read_other(folder / "first", settings.cutting.frames)
    ids = segment_folder.new_ids(list(segments), first, same_ids=False)
    segment_folder.write_segments(out, segments, settings.cutting.frames, ids, first, {"random": True})


def spasm_inside(start: int, frames: int, truth: np.ndarray) -> tuple[float, float] | None:
    """The spasm of which at least half a second lies in a window, if there is one; truth: (E, 2)."""
    inside_s = overlap_s(np.array([start / FPS]), frames / FPS, truth)[0]
    if not len(inside_s) or inside_s.max() < POSITIVE_S - 1e-6:
        return None
    onset_s, offset_s = truth[int(inside_s.argmax())].tolist()
    return onset_s, offset_s


def overlap_s(starts_s: np.ndarray, length_s: float, truth: np.ndarray) -> np.ndarray:
    """Seconds (N, E) of each spasm (E, 2) in each window."""
    ends_s = np.minimum(starts_s[:, None] + length_s, truth[None, :, 1])
    return (ends_s - np.maximum(starts_s[:, None], truth[None, :, 0])).clip(0)


def describe_queue(
    predicted: Mapping[Path, Windows], detected: Mapping[str, Sequence[Event]], truth: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """How many spasms and false alarms were in the queue."""
    overlap = event_evaluation.overlap_rule(TOLERANCE_S)
    counts = [
        count(windows, list(detected[path.name]), truth[path.name], overlap) for path, windows in predicted.items()
    ]
    true, found, events, false, hours = (sum(one[k] for one in counts) for k in range(5))
    return {
        "hours": round(hours, 2), "true_spasms": true, "found": found, "reviewed": events,
        "false_alarms_per_hour": round(false / hours, 2),
    }  # fmt: skip


def describe_segments(data: Path, truth: Mapping[str, np.ndarray], frames: int) -> dict[str, Any]:
    """The added segments: how many of each kind, and how many have another label than the simulator's."""
    rows = read_table(data / "origin.csv", segment_folder.ORIGIN_COLUMNS)
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in ("event", "rejected", "elsewhere")}
    hidden = wrong = 0
    for row in rows:
        start = round(float(row["start_s"]) * FPS)
        has_spasm = spasm_inside(start, frames, truth[row["recording"]]) is not None
        hidden += has_spasm and row["kind"] != EVENT
        wrong += not has_spasm and row["kind"] == EVENT
    return {**kinds, "label_0_with_a_spasm": hidden, "label_1_without_a_spasm": wrong}


# ---- training and evaluation


def train_and_score(settings: ReviewCircle, models: Sequence[Model], folder: Path, arm: str, seed: int) -> Scores:
    """Train on the folder of an arm, and evaluate the run on the new children."""
    data = load_training(folder / arm, settings.cutting.frames, "challenge", settings.cache, progress.reading)
    run = train_run(settings, models, data, folder / f"run_{arm}", seed).path
    predicted = predict(settings, run, folder / "new", folder / f"new_predicted_{arm}")
    truth = true_events(folder / "new").spans
    of_events, of_windows = sensitivities(predicted, truth, seed), window_scores(predicted, truth, seed)
    of_segments = segment_scores(settings, run, folder / "new", seed)
    parts = (of_events, of_windows, of_segments)
    point = {name: value for part in parts for name, value in part.point.items()}
    replicates = {name: values for part in parts for name, values in part.replicates.items()}
    return Scores(point, replicates, of_segments.children)


def sensitivities(predicted: Mapping[Path, Windows], truth: Mapping[str, np.ndarray], seed: int) -> Scores:
    """The highest event sensitivity with at most so many false alarms per hour, by one threshold for all children.

    The threshold is the best on these recordings, for each run and in each resample, so that runs are compared at the
    same number of false alarms; a threshold chosen on other children gives more or fewer of them.
    """
    probabilities = np.concatenate([windows.probabilities for windows in predicted.values()])
    known = np.sort(probabilities[np.isfinite(probabilities)])[::-1]
    ranks = np.unique(np.geomspace(1, max(1, 0.3 * len(known)), LEVELS).astype(int)) - 1
    overlap = event_evaluation.overlap_rule(TOLERANCE_S)
    counts = np.zeros((len(ranks), len(predicted), 5))
    for row, level in enumerate(known[ranks].tolist()):
        rule = Accumulation(1, max(0.0, level - 1e-9), 0.0, REFRACTORY_S)  # sums of windows are rounded
        for column, (path, windows) in enumerate(predicted.items()):
            counts[row, column] = count(windows, detect_events(windows, rule), truth[path.name], overlap)[:5]
    child = bootstrap.number_children([child_of(path.name) for path in predicted])
    resampled = bootstrap.sample_children(child.max() + 1, np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, len(predicted))), bootstrap.weigh_rows(resampled, child)])
    true, found, _, false, hours = np.moveaxis(np.einsum("rc,lck->rlk", weights, counts), 2, 0)
    point, replicates = {}, {}
    for limit in LIMITS:
        with np.errstate(invalid="ignore"):
            values = np.where(false <= limit * hours, found, 0).max(axis=1) / true[:, 0]
        point[f"sensitivity at {limit:g}/h"] = float(values[0])
        replicates[f"sensitivity at {limit:g}/h"] = values[1:]
    return Scores(point, replicates, int(child.max()) + 1)


def window_scores(predicted: Mapping[Path, Windows], truth: Mapping[str, np.ndarray], seed: int) -> Scores:
    """The AUC of windows that do not overlap; those with less than half a second of a spasm are left out."""
    labels, probabilities, children = [], [], []
    for path, windows in predicted.items():
        starts_s = windows.ends_s - windows.window_s
        kept = np.isclose(starts_s % EVERY_S, 0) & np.isfinite(windows.probabilities)
        inside_s = overlap_s(starts_s[kept], windows.window_s, truth[path.name]).max(axis=1, initial=0)
        clear = (inside_s == 0) | (inside_s >= POSITIVE_S)
        labels.append((inside_s[clear] > 0).astype(int))
        probabilities.append(windows.probabilities[kept][clear])
        children += [child_of(path.name)] * int(clear.sum())
    label, probability = np.concatenate(labels), np.concatenate(probabilities)
    point, replicates = metrics.cluster_bootstrap(label, probability, probability >= 0.5, children, seed=seed)
    return Scores({"AUC of windows": point["auc"]}, {"AUC of windows": replicates["auc"]}, len(set(children)))


def segment_scores(settings: ReviewCircle, run: Path, data: Path, seed: int) -> Scores:
    """AUC and F1 of the segments of the new children, F1 at the run's own threshold."""
    rows = read_table(data / "truth.csv", ("segment_name", "label", "split"))
    names, labels = [row["segment_name"] for row in rows], np.array([int(row["label"]) for row in rows])
    paths = [data / row["split"] / row["segment_name"] for row in rows]
    children = list(map(child_of, names))
    prediction = TrainedRun(run, settings.hardware, settings.workers).predict_files(paths, data, children)
    positive = prediction.label == 1
    point, replicates = metrics.cluster_bootstrap(labels, prediction.probability, positive, children, seed=seed)
    shown = {"AUC of segments": "auc", "F1 of segments": "f1"}
    points = {name: point[key] for name, key in shown.items()}
    return Scores(points, {name: replicates[key] for name, key in shown.items()}, len(set(children)))


# ---- the table


def table(scores: Mapping[tuple[str, int], Scores]) -> list[tuple[Any, ...]]:
    """Rows of COLUMNS: means over seeds, and the paired difference with its 95 % interval over the new children."""
    rows: list[tuple[Any, ...]] = []
    for arm in dict.fromkeys(name for name, _ in scores if name != "first"):
        seeds = [seed for name, seed in scores if name == arm]
        pairs = [(scores["first", seed], scores[arm, seed]) for seed in seeds]
        for metric in pairs[0][0].point:
            first, second = (float(np.mean([pair[k].point[metric] for pair in pairs])) for k in (0, 1))
            differences = [b.replicates[metric] - a.replicates[metric] for a, b in pairs]
            children = sum(a.children for a, _ in pairs)
            found = bootstrap.interval(second - first, np.mean(differences, axis=0), children)
            rows.append((arm, metric, first, second, *found.values(), len(pairs)))
    return rows


def text(rows: Sequence[tuple[Any, ...]]) -> str:
    """The table for a terminal."""
    lines = [f"{'added':15}{'':24}{'first':>8}{'second':>8}   difference, 95 % interval over new children"]
    for arm, metric, first, second, difference, low, high, seeds in rows:
        interval = f"({console.number(low).strip()} to {console.number(high).strip()})"
        change = "undefined" if difference is None else f"{difference:+.3f} {interval}"
        lines.append(f"{arm:15}{metric:24}{first:8.3f}{second:8.3f}   {change}, {seeds} seeds")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
