"""When something like a spasm happens in long recordings or videos: a trained run answers overlapping windows of them.

Writes events.csv (onset, offset, peak probability, cluster, when a live run would have told it), and for each recording
its probability over time and a figure of it. With --events, which says where the true events are, it also chooses the
settings that make events of probabilities, for each child on the other children's recordings, judges what comes out,
and writes rule.json, chosen on all of them, for new recordings: --settings output/timeline/rule.json.

Example: python src/timeline.py input/infants/recordings/child_1_1.npy --run output/main
or: python src/timeline.py film.mp4 --run output/main
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count
from tqdm import tqdm

import command_line
from spasm import events, files, recording_answers, report_text, streams, timeline_pictures
from spasm.answer import Answerer, open_decision
from spasm.errors import DataError, DataProblems, brief, collected
from spasm.events import Event, Rule, Windows
from spasm.metrics import SZCORE, EventCounts, Overlap, compare_events, evaluate_events
from spasm.segments import FPS
from spasm.settings import SettingsError, Timeline
from spasm.tables import NAME_PATTERNS, child_of, numbered_rows

EVENTS = ("recording", "onset_s", "offset_s", "peak_probability", "cluster", "known_s")
LIMITS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # false alarms in an hour, of the trade-off
LONGEST_S = 10.0  # of a spasm; what is told to last longer counts as several events


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Which settings make events."""

    rules: list[Rule]
    """For each of R recordings: chosen on the other children's."""
    of_all: Rule
    """Chosen on all of them, for new recordings."""
    counts: np.ndarray
    """(S, R, 5) of each setting that was tried: the first five of `EventCounts`."""


def main(settings: Timeline) -> int:
    decision = open_decision(settings.run)
    if not settings.recordings:
        raise SettingsError("name a recording: python src/timeline.py input/infants/recordings/child_1_1.npy")
    files.check_writable(settings.out)
    files.remove_stale(settings.out)
    settings, film_of = extracted(settings)
    names = [path.name for path in settings.recordings]
    if len(set(names)) < len(names):
        raise SettingsError("two recordings have the same name; give each its own")
    for path in settings.recordings:
        if not NAME_PATTERNS["safe"].fullmatch(path.name):
            raise DataError(
                path, "is not a recording's name", "name it {child}_{number}.npy, of letters, digits, - and _"
            )
    lengths = frames_of_all(settings.recordings)
    true = read_events(settings.events, lengths, film_of) if settings.events else None
    print(f"trained on {report_text.data_name(decision['data'])}")

    answered = answer_all(settings, decision, lengths)
    chosen = choose(settings, answered, true) if true and settings.choose else None
    rules = chosen.rules if chosen else [given(settings)] * len(answered)
    told = {path: events.told(windows, rule) for (path, windows), rule in zip(answered.items(), rules, strict=True)}
    files.write_csv(settings.out / "events.csv", EVENTS, event_rows(told))
    for path, windows in answered.items():
        name = f"{'SIMULATED DATA, ' if is_simulated(path) else ''}{path.name}"
        picture = timeline_pictures.timeline(name, windows, told[path], true[path.name] if true else None)
        files.write_bytes(settings.out / path.stem / "timeline.png", picture)
        print(summary(path, windows, told[path]))
    if true:
        judge(settings, answered, told, true, chosen)
    if chosen:
        rule = {"rule": settings.rule, "stride_s": settings.stride_s, **dataclasses.asdict(chosen.of_all)}
        files.write_json(settings.out / "rule.json", rule)
        print(f"chosen on all of them, for new recordings: --settings {settings.out / 'rule.json'}")
    print(
        f"written: {settings.out / 'events.csv'}, and a folder for each recording with its probabilities and a figure"
    )
    return 0


def extracted(settings: Timeline) -> tuple[Timeline, dict[str, str]]:
    """The settings with a recording in the place of each video, and the video's name of each such recording."""
    films = [path for path in settings.recordings if path.suffix != ".npy"]
    if not films:
        return settings, {}
    out = settings.out / "videos"
    words = ["extract_pose.py", *map(str, films), "--out", str(out), "--model", str(settings.model)]
    command_line.call(words + (["--child", str(settings.child)] if settings.child else []))
    made = {kept["video_sha256"]: kept for kept in map(files.read_json, (out / "recordings").glob("*.json"))}
    recordings: list[Path] = []
    film_of = {}
    for path in settings.recordings:
        if path in films:
            kept = made[files.sha256(path)]
            if not kept["recording"]:
                raise DataError(path, kept["note"], "name another video")
            note = f"; {kept['note']}" if kept["note"] else ""
            print(f"{path.name}: {kept['recording']}, a pose in {kept['frames_with_pose']:.0%} of its frames{note}")
            film_of[kept["recording"]] = path.name
            path = out / "recordings" / kept["recording"]
        recordings.append(path)
    return dataclasses.replace(settings, recordings=tuple(dict.fromkeys(recordings))), film_of


def event_rows(told: dict[Path, list[Event]]) -> Iterator[tuple[object, ...]]:
    """The rows of events.csv."""
    for path, of_recording in told.items():
        for event, cluster in zip(of_recording, events.clusters(events.spans(of_recording)), strict=True):
            onset_s, offset_s, known_s = (f"{value:.2f}" for value in (event.onset_s, event.offset_s, event.known_s))
            yield path.name, onset_s, offset_s, f"{event.peak:.4f}", cluster, known_s


# ---- answering


def frames_of_all(recordings: tuple[Path, ...]) -> dict[Path, int]:
    """Frames in each recording. Raises DataProblems naming all that are none."""
    problems: list[DataError] = []
    lengths = {}
    for path in recordings:
        with collected(problems):
            lengths[path] = streams.frames_of(path)
    if problems:
        raise DataProblems(problems)
    return lengths


def answer_all(settings: Timeline, decision: dict[str, Any], lengths: dict[Path, int]) -> dict[Path, Windows]:
    """Each recording's windows, kept in the folder so that none is answered twice."""
    rests_on = {
        "decision": files.sha256(settings.run / "decision.json"),
        "stride_s": settings.stride_s,
        "precision": settings.hardware.precision,
    }
    keys = {path: {**rests_on, "recording": files.sha256(path)} for path in lengths}
    folders = {path: settings.out / path.stem for path in lengths}
    stride = round(settings.stride_s * FPS)
    answered = {path: recording_answers.read(folders[path], stride, keys[path]) for path in lengths}
    left = [path for path in lengths if answered[path] is None]
    with contextlib.ExitStack() as stack:
        answerer = (
            stack.enter_context(Answerer(settings.run, decision, settings.hardware, cpu_count())) if left else None
        )
        # disable=None: a bar only where stderr is a terminal.
        total = sum(lengths[path] for path in left)
        bar = stack.enter_context(tqdm(total=total, desc="answering", unit="frame", unit_scale=True, disable=None))
        for path in left:
            windows = recording_answers.answer(path, lengths[path], stride, answerer, bar.update)
            recording_answers.write(folders[path], keys[path], windows)
            answered[path] = recording_answers.read(folders[path], stride, keys[path])
    return answered


# ---- what is true, and which settings find it


def read_events(path: Path, lengths: dict[Path, int], film_of: dict[str, str]) -> dict[str, np.ndarray]:
    """True events (E, 2) of each recording, by its file's name; a recording that is not named has none.

    lengths: frames in each recording; film_of: the video's name of a recording, which the table may also use.
    """
    problems: list[DataError] = []
    rows: dict[str, list[tuple[float, float]]] = {recording.name: [] for recording in lengths}
    ends_s = {recording.name: frames / FPS for recording, frames in lengths.items()}
    of_film = {film: name for name, film in film_of.items()}
    for line, row in numbered_rows(path, ("recording", "onset_s", "offset_s")):
        name = of_film.get(row["recording"], row["recording"])
        if name not in rows:
            continue
        try:
            onset_s, offset_s = float(row["onset_s"]), float(row["offset_s"])
        except ValueError:
            onset_s = offset_s = float("nan")
        if not 0 <= onset_s < offset_s <= ends_s[name] + 1:
            reason = f"line {line}: {brief(row['onset_s'])} to {brief(row['offset_s'])} is no event"
            hint = f"give onset_s and a later offset_s, in seconds; {name} lasts {ends_s[name]:.1f} s"
            problems.append(DataError(path, reason, hint))
        else:
            rows[name].append((onset_s, offset_s))
    if problems:
        raise DataProblems(problems)
    if not any(rows.values()):
        raise DataError(path, "has no event of these recordings", "its first column holds their file names")
    return {name: np.array(sorted(spans)).reshape(-1, 2) for name, spans in rows.items()}


def given(settings: Timeline) -> Rule:
    """The rule as the flags say."""
    return settings.hysteresis if settings.rule == "hysteresis" else settings.accumulation


def spasms(settings: Timeline) -> Overlap:
    """When an event that was told meets a spasm."""
    return Overlap(settings.tolerance_s, settings.tolerance_s, longest_s=LONGEST_S)


def count(windows: Windows, told: list[Event], true: np.ndarray, overlap: Overlap) -> EventCounts:
    """How the events of one recording meet the true ones."""
    known_s = np.array([event.known_s for event in told])
    return compare_events(true, events.spans(told), known_s, windows.duration_s, overlap)


def choose(settings: Timeline, answered: dict[Path, Windows], true: dict[str, np.ndarray]) -> Chosen:
    """Try every candidate on every recording. Raises SettingsError where all are of one child."""
    child = np.array([child_of(path.name) for path in answered])
    if len(set(child)) < 2:
        raise SettingsError("all recordings are of one child, and there is no other to choose on; give --choose False")
    tried, margin = events.candidates(given(settings)), spasms(settings)
    counts = np.array(
        [
            [
                count(windows, events.told(windows, rule), true[path.name], margin)[:5]
                for path, windows in answered.items()
            ]
            for rule in tried
        ],
        dtype=float,
    )
    most = settings.most_false_alarms
    for one in sorted(set(child)):
        if not counts[0, child != one, 0].sum():
            hint = "give recordings of more children with events, or --choose False"
            raise DataError(settings.events, f"has no event of another child than {one} to choose settings on", hint)
    rules = [tried[events.best(counts[:, child != one].sum(1), most)] for one in child]
    return Chosen(rules, tried[events.best(counts.sum(1), most)], counts)


# ---- what came out


def summary(path: Path, windows: Windows, told: list[Event]) -> str:
    """One paragraph on a recording."""
    minutes = windows.duration_s / 60
    length = f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{minutes:.1f} minutes"
    if not told:
        return f"{path.name}: nothing like a spasm in {length}."
    numbers = events.clusters(events.spans(told))
    sizes = np.bincount(numbers)[1:]
    strongest = max(told, key=lambda event: event.peak)
    return (
        f"{path.name}: {len(told)} events like a spasm in {length}, in {len(sizes)} clusters of up to {sizes.max()}; "
        f"the first at {clock(told[0].onset_s)}, the surest at {clock(strongest.onset_s)} "
        f"(probability {strongest.peak:.2f})."
    )


def clock(seconds: float) -> str:
    """1:02:03.4"""
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def judge(
    settings: Timeline,
    answered: dict[Path, Windows],
    told: dict[Path, list[Event]],
    true: dict[str, np.ndarray],
    chosen: Chosen | None,
) -> None:
    """Print and write how the events meet the true ones, and what fewer false alarms would cost."""
    children = [child_of(path.name) for path in answered]
    hours = sum(windows.duration_s for windows in answered.values()) / 3600
    how = "settings chosen on the other children, not those given" if chosen else "settings as given"
    tolerance = f"{settings.tolerance_s:g} s tolerance"
    if any(map(is_simulated, answered)):
        print(f"\n{report_text.SIMULATED}")
    print(f"\n{len(answered)} recordings of {len(set(children))} children, {hours:.2f} h; {settings.rule}, {how}")
    print(f"{'':34}{'value':>7}   95 % interval over children")
    judged: dict[str, Any] = {}
    for name, overlap in ((tolerance, spasms(settings)), ("SzCORE", SZCORE)):
        counts = [count(windows, told[path], true[path.name], overlap) for path, windows in answered.items()]
        figures = evaluate_events(counts, children)
        for key, figure in figures.items():
            value, low, high = (report_text.number(figure[part]) for part in ("value", "low", "high"))
            print(f"{key.replace('_', ' ') + ', ' + name:34}{value}   {low} to {high}")
        judged[name] = figures
        if overlap is not SZCORE:
            latency, error = (np.concatenate([one[part] for one in counts]) for part in (5, 6))
    if len(latency):
        judged["median_latency_s"], judged["median_onset_error_s"] = float(np.median(latency)), float(np.median(error))
        judged["median_absolute_onset_error_s"] = float(np.median(np.abs(error)))
        print(
            f"told {np.median(latency):.1f} s after a spasm's onset; the onset is {np.median(error):+.2f} s off, "
            f"{np.median(np.abs(error)):.2f} s either way (medians)"
        )
    pairs = [
        (len(set(events.clusters(true[path.name]))), len(set(events.clusters(events.spans(told[path])))))
        for path in answered
    ]
    judged["clusters"] = {"true": sum(a for a, _ in pairs), "told": sum(b for _, b in pairs)}
    off = np.mean([abs(a - b) for a, b in pairs])
    judged["clusters"]["mean_absolute_error_per_recording"] = float(off)
    print(
        f"clusters: {judged['clusters']['told']} told, {judged['clusters']['true']} true; {off:.1f} off in a recording"
    )
    print("SzCORE's margins are for seizures of minutes and flatter short events: read the other figures.")
    files.write_json(settings.out / "judged.json", {"rule": settings.rule, "settings": how, **judged})
    if chosen:
        trade_off(settings, np.array(children), chosen.counts)


def trade_off(settings: Timeline, children: np.ndarray, counts: np.ndarray) -> None:
    """Print, write and draw what sensitivity remains under a limit on false alarms, set on the other children."""
    rows = []
    for limit in LIMITS:
        reached = np.zeros(5)
        for child in np.unique(children):
            best = events.best(counts[:, children != child].sum(1), limit)
            reached += counts[best][children == child].sum(0)
        rows.append((limit, reached[3] / reached[4], reached[1] / max(reached[0], 1)))
    header = ("limit_per_hour", "false_alarms_per_hour", "sensitivity")
    files.write_csv(settings.out / "tradeoff.csv", header, rows)
    print(f"\n{'at most so many false alarms an hour':>38}{'there were':>12}{'sensitivity':>13}")
    for limit, false, sensitivity in rows:
        print(f"{limit:38g}{false:12.2f}{sensitivity:13.3f}")
    simulated = any(map(is_simulated, settings.recordings))
    title = f"{'SIMULATED DATA, ' if simulated else ''}{settings.rule}, limits set on the other children"
    files.write_bytes(settings.out / "tradeoff.png", timeline_pictures.trade_off(rows, title))


def is_simulated(path: Path) -> bool:
    """Whether simulate.py wrote a recording."""
    return any((folder / "simulated.json").is_file() for folder in path.absolute().parents[:2])


if __name__ == "__main__":
    sys.exit(command_line.run(main, Timeline, __doc__))
