"""Compare what two reviewers decided about the same recordings.

Reads two review.csv, or two folders with a review of each recording. Prints how far they agree on what is a spasm, on
what else an event is, and on its times, and writes a table of the events to discuss.

Examples:
  python src/compare_reviews.py review_anna.csv review_ben.csv
  python src/compare_reviews.py review_anna.csv review_ben.csv --out output/reviews
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from spasm.cli import app
from spasm.config.fields import POSITIONAL, SettingsError, settings
from spasm.core import files
from spasm.core.errors import DataError, first_few, group_alike
from spasm.core.outputs import check_folder, check_replaceable
from spasm.data.reviews import ReviewedEvent, guarded, read_review, review_files
from spasm.evaluation.reviewer_agreement import Pair, agreement, disagreement, in_both, match
from spasm.report import review_plots
from spasm.report.console import number

SIDE_COLUMNS = ("decision", "type", "onset_s", "offset_s", "note")
COLUMNS = ("recording", "about", *(f"{side}_{column}" for side in "ab" for column in SIDE_COLUMNS))


@settings
class CompareReviews:
    """Flags of compare_reviews.py."""

    reviews: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Two reviews, review.csv, of the same recordings, or two folders of reviews."""
    out: Path = Path("output/reviews")
    """Folder to write."""


def main(settings: CompareReviews) -> int:
    if len(settings.reviews) != 2:
        reason = f"two reviews are compared, and {len(settings.reviews)} are named"
        raise SettingsError(f"{reason}; give both files: python {sys.argv[0]} a.csv b.csv")
    out, (path_a, path_b) = settings.out, settings.reviews
    check_folder(out)
    check_replaceable(out / "disagreements.csv", ",".join(COLUMNS[:3]).encode(), "a table of disagreements")
    check_replaceable(out / "agreement.json", b'{\n  "a": {', "a comparison of reviews")
    check_replaceable(out / "differences.png", b"\x89PNG", "a plot")
    files.check_writable(out)
    read = [read_review(path) for path in settings.reviews]
    app.warn(group_alike([warning for _, warnings_of_one in read for warning in warnings_of_one]))
    reviews = [events for events, _ in read]
    named = [{event.recording for event in review} for review in reviews]
    common = named[0] & named[1]
    if not common:
        reason = f"has no recording in common with {path_a}"
        names = " and ".join(first_few(sorted(names), 3) or "none" for names in named)
        raise DataError(path_b, reason, f"give two reviews of the same recordings; they name {names}")
    digests = [[files.sha256(one) for one in review_files([path])] for path in settings.reviews]
    app.warn(warnings(settings.reviews, named, digests))
    a, b = ([event for event in review if event.recording in common] for review in reviews)
    pairs = match(a, b)
    found = agreement(pairs)
    only = {f"recordings_only_in_{side}": sorted(names - common) for side, names in zip("ab", named, strict=True)}
    about = {
        side: {"file": path.name, "sha256": digest, "events": len(review)}
        for side, path, digest, review in zip("ab", settings.reviews, digests, (a, b), strict=True)
    }
    files.write_json(out / "agreement.json", {**about, **only, **found})
    rows = list(disagreement_rows(pairs))
    files.write_csv(out / "disagreements.csv", COLUMNS, rows)
    written = [out / "agreement.json", out / "disagreements.csv"]
    accepted = [pair for pair in in_both(pairs) if pair.is_accepted]
    if accepted:
        times = {
            "onset": [pair.b.onset_s - pair.a.onset_s for pair in accepted],
            "offset": [pair.b.offset_s - pair.a.offset_s for pair in accepted],
        }
        files.write_bytes(out / "differences.png", review_plots.time_differences(times))
        written.append(out / "differences.png")
    else:
        (out / "differences.png").unlink(missing_ok=True)
    print(text(path_a, path_b, found))
    print(f"written: {', '.join(map(str, written))}")
    print(f"next:    discuss the {len(rows):,} events of {out / 'disagreements.csv'}")
    return 0


def warnings(paths: Sequence[Path], named: Sequence[set[str]], digests: Sequence[Sequence[str]]) -> Iterator[str]:
    """What makes the comparison one of less than two whole reviews."""
    if digests[0] == digests[1]:
        yield f"{paths[1]}: the same content as {paths[0]}, so that all agrees; give the second reviewer's file"
    for path, ours, others in zip(paths, named, reversed(named), strict=True):
        if more := sorted(ours - others):
            yield f"{path}: {len(more)} recordings are not in the other review and are left out: {first_few(more, 3)}"


def disagreement_rows(pairs: Sequence[Pair]) -> Iterator[list[Any]]:
    """Rows of COLUMNS."""
    for pair in pairs:
        about = disagreement(pair)
        if about:
            recording = next(event.recording for event in pair if event is not None)
            yield [recording, about, *cells(pair.a), *cells(pair.b)]


def cells(event: ReviewedEvent | None) -> list[str]:
    """The cells of SIDE_COLUMNS, empty where a reviewer does not have the event."""
    if event is None:
        return [""] * len(SIDE_COLUMNS)
    return [event.decision, event.type, f"{event.onset_s:.2f}", f"{event.offset_s:.2f}", guarded(event.note)]


def text(path_a: Path, path_b: Path, found: Mapping[str, Any]) -> str:
    """The comparison for a terminal."""
    events, decision, kinds, added = (
        found[name] for name in ("detected_events", "decision", "type_of_rejected", "added_events")
    )
    lines = [
        f"a: {path_a}, b: {path_b}",
        f"{events['in_both']:,} detected events of {found['recordings']} recordings and {found['children']} children "
        f"are in both, {events['decided_by_both']:,} decided by both; 95 % intervals over {found['intervals_over']}",
    ]
    if only := events["only_in_a"] + events["only_in_b"]:
        lines.append(f"{only:,} detected events are in one review only: they may come from two runs or two rules")
    lines.append(
        f"accepted by both {decision['both_accepted']}, by a only {decision['only_a_accepted']}, by b only "
        f"{decision['only_b_accepted']}, rejected by both {decision['both_rejected']}"
    )
    for title, part, name in (
        ("agreement on spasms", decision, "agreement"),
        ("kappa", decision, "kappa"),
        ("positive agreement", decision, "positive_agreement"),
        ("negative agreement", decision, "negative_agreement"),
        ("agreement on the type of rejected", kinds, "agreement"),
        ("kappa of that", kinds, "kappa"),
    ):
        estimate = part[name]
        lines.append(f"  {title:34}{number(estimate['value'])}  {number(estimate['low'])} to{number(estimate['high'])}")
    lines.append(
        f"added by both {added['in_both']}, by a only {added['only_in_a']}, by b only {added['only_in_b']}; not in the "
        "metrics above"
    )
    for name, of_time in found["times_of_accepted"].items():
        if of_time["events"]:
            quartiles = f"{of_time['quartile_1']:+.2f} to {of_time['quartile_3']:+.2f}"
            line = (
                f"{name.removesuffix('_s')} of b minus a: median {of_time['median']:+.2f} s, half of them {quartiles}"
            )
            if of_time["limit_low"] is not None:
                line += f", limits of agreement {of_time['limit_low']:+.2f} to {of_time['limit_high']:+.2f}"
            lines.append(f"{line} ({of_time['events']:,} accepted by both)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(app.run(main, CompareReviews, __doc__, stopped="nothing was written"))
