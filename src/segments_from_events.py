"""Cut training segments from long recordings with true or reviewed events.

The events are a table such as events.csv of simulate.py, or review.csv. Segments with an accepted event are labelled
1; those with a rejected event, and those without any event, are labelled 0. The new folder has the layout that
train_folds.py reads. With --with-data, the segments of another data folder become part of it.

Examples:
  python src/segments_from_events.py --recordings input/infants/recordings --events review.csv --out input/reviewed
  python src/segments_from_events.py --recordings night_1.npy --events review.csv --with-data input --out input/second
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import FLAT, REPEATED, SettingsError, Shown, settings, to_tree
from spasm.config.runtime import ABSTAIN, Abstain
from spasm.core import files
from spasm.core.errors import DataError, first_few, group_alike
from spasm.core.text import shell_words
from spasm.data.naming import NAME_PATTERNS, child_of, same_child_twice
from spasm.data.pose import FRAMES
from spasm.data.recordings import check_recordings, recording_paths
from spasm.data.reviews import review_files
from spasm.data.segment_cutting import (
    ELSEWHERE,
    EVENT,
    REJECTED,
    Cutting,
    Segment,
    choose_segments,
    count_cut_off,
    inspect,
)
from spasm.data.segment_folder import (
    MARKER,
    check_new,
    check_replaceable,
    listed,
    new_ids,
    read_other,
    write_segments,
)
from spasm.data.true_events import read_true_events


@settings
class SegmentsFromEvents:
    """Flags of segments_from_events.py."""

    recordings: Annotated[tuple[Path, ...], REPEATED] = ()
    """Recordings, {child}_{number}.npy, or folders of them; several after one flag, or each with its own."""
    events: Annotated[tuple[Path, ...], REPEATED] = ()
    """Tables of true events (recording, onset_s, offset_s), reviews, or folders of reviews; several after one flag, or
    each with its own."""
    out: Path = Path("input/segments")
    """Folder to write; it must be new, or made by this script."""
    with_data: Annotated[Path | None, Shown(default="none")] = None
    """Data folder whose training segments become part of the new one. Ids of the recordings' children are changed, so
    that they cannot be taken for children of that folder. Recordings that were cut into it earlier are of the same
    children: an id in both recordings is one child, with one id in the new folder."""
    same_ids: bool = False
    """With --with-data: an id of a recording and of its segments is the same child."""
    cutting: Annotated[Cutting, FLAT] = Cutting()
    abstain: Abstain = ABSTAIN
    """Leave out windows of which less than this fraction shows movement, as timeline.py does."""


def main(settings: SegmentsFromEvents) -> int:
    cutting, other = settings.cutting, None
    check_replaceable(settings.out)
    if settings.with_data is not None:
        if settings.out.resolve() == settings.with_data.resolve():
            raise DataError(settings.out, "is --out and --with-data; nothing was written", "choose another --out")
        other = read_other(settings.with_data, cutting.frames)
    if not settings.events:
        raise SettingsError("--events is missing; name a table of events or reviews: --events review.csv")
    paths = recording_paths(settings.recordings)
    checked = check_recordings(paths)
    children = sorted({child_of(path.name) for path in paths})
    if problems := same_child_twice(paths[0].parent, children):
        raise problems[0]
    digests = {path: files.sha256(path) for path in sorted(paths)}
    if other is not None:
        check_new(digests, other)
    tables = review_files(settings.events)
    table = read_true_events(tables, {path: one.frames for path, one in checked.items()}, {}, paths)
    app.warn(group_alike(table.warnings))
    ids = new_ids(children, other, settings.same_ids)

    segments: dict[str, list[Segment]] = {}
    cut_off = 0
    of_child = {child: [path for path in paths if child_of(path.name) == child] for child in children}
    for child in progress.progress("choose", of_child, len(of_child)):
        recordings = [inspect(path, table) for path in sorted(of_child[child])]
        cut_off += sum(map(count_cut_off, recordings))
        segments[child] = choose_segments(child, recordings, cutting, settings.abstain)
    if not any(segments.values()):
        reason = f"no segment of {cutting.frames} frames can be cut from these recordings"
        hint = "give longer ones, or a lower --abstain: too little was seen, or events are everywhere"
        raise DataError(paths[0].parent, reason, hint)
    about = {
        "settings": {**to_tree(cutting), "abstain": settings.abstain, "same_ids": settings.same_ids},
        "recordings": [*(other.recordings if other else []), *listed(digests)],
        "events": [*(other.events if other else []), *listed({path: files.sha256(path) for path in tables})],
        "children": {**(other.children if other else {}), **ids},
        "given_segments": 0 if other is None else len(other.tables.train),
    }
    write_segments(settings.out, segments, cutting.frames, ids, other, about)
    print(summary(segments, table.spans, table.rejected, cut_off))
    if other is not None:
        print(f"with {len(other.tables.train):,} segments of {settings.with_data}, linked")
        earlier = {child for child, new in ids.items() if new in other.children.values()}
        if changed := [f"{child} is now {new}" for child, new in ids.items() if child != new and child not in earlier]:
            print(f"children: {first_few(changed, 5)}")
        if same := [f"{child} is {ids[child]}" for child in children if child in earlier]:
            print(f"children of recordings cut earlier, by their ids: {first_few(same, 5)}")
    names = f"train/, train_data.csv, onsets.csv, origin.csv (where each segment comes from), {MARKER}"
    print(f"written: {settings.out}: {names}")
    words = ["--data", settings.out]
    if cutting.frames != FRAMES:
        words += ["--frames", cutting.frames]
    if not all(NAME_PATTERNS["challenge"].fullmatch(path.name) for path in (settings.out / "train").iterdir()):
        words += ["--name-pattern", "safe"]
    print(f"next:    python src/verify.py {shell_words(*words)}")
    words += ["--run", Path("output") / settings.out.resolve().name]
    print(f"         python src/train_folds.py {shell_words(*words)}")
    return 0


def summary(
    segments: Mapping[str, Sequence[Segment]],
    accepted: Mapping[str, Sized],
    rejected: Mapping[str, Sized],
    cut_off: int,
) -> str:
    """How many segments of each kind there are, and how many events have none; cut_off: by a recording's end."""
    of_kind = Counter(segment.kind for of_child in segments.values() for segment in of_child)
    used = {
        kind: {(one.recording, one.event_s) for of_child in segments.values() for one in of_child if one.kind == kind}
        for kind in (EVENT, REJECTED)
    }
    counts = {EVENT: sum(map(len, accepted.values())), REJECTED: sum(map(len, rejected.values()))}
    left_out = (
        f"left out: {cut_off:,} events, of which less than half a second (or not all) is before the recording's end"
    )
    return "\n".join(
        [
            f"{sum(of_kind.values()):,} segments of {len(segments):,} children",
            f"label 1: {of_kind[EVENT]:,}, from {len(used[EVENT]):,} of {counts[EVENT]:,} events",
            f"label 0: {of_kind[REJECTED]:,}, from {len(used[REJECTED]):,} of {counts[REJECTED]:,} rejected events",
            f"label 0: {of_kind[ELSEWHERE]:,} without any event",
            *([left_out] if cut_off else []),
        ]
    )


if __name__ == "__main__":
    sys.exit(app.run(main, SegmentsFromEvents, __doc__, stopped="nothing was written, an earlier folder is as it was"))
