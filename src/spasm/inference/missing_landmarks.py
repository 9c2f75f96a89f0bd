"""What was noticed in new poses, as far as it concerns the run that predicts them.

Landmarks that the training almost always had and new poses never have, as when another pose tool made them, change
predictions; landmarks that the run does not read change nothing.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from spasm.config.data import LandmarkSet
from spasm.core.errors import first_few, printable
from spasm.data.findings import NEVER, NO_DEPTH, Findings, fold
from spasm.data.landmark_sets import KEPT
from spasm.data.landmarks import LANDMARKS
from spasm.runs.artefacts import Decision

USUAL = 0.9  # a landmark found in this fraction of the training frames with a pose is missed where it is never found
REST = "the predictions rest on the others"
NAMED = 3  # landmarks named in a message; the others are counted


def usual_landmarks(decision: Decision) -> tuple[str, ...]:
    """The landmarks that the training almost always had."""
    return tuple(name for name in LANDMARKS if decision.landmark_fractions[name] >= USUAL)


def missing_landmarks(findings: Findings, decision: Decision) -> tuple[str, ...]:
    """The landmarks that poses never have although the training had them; none without any pose."""
    if not findings.posed:
        return ()
    usual = usual_landmarks(decision)
    return tuple(name for name in findings.never_found if name in usual)


def sentences_for_run(findings: Findings, decision: Decision) -> dict[str, str]:
    """A sentence for each kind of finding in the poses of one segment that concerns this run."""
    others = _of_no_concern(decision)
    sentences = {kind: sentence for kind, sentence in findings.sentences().items() if kind not in others}
    missing = missing_landmarks(findings, decision)
    if missing:
        are = "landmark that the training had is" if len(missing) == 1 else "landmarks that the training had are"
        sentences[NEVER] = f"{len(missing)} {are} missing: {first_few(missing, NAMED)}"
    return sentences


def fold_for_run(
    names: Sequence[str],
    findings: Sequence[Findings],
    run: Path,
    decision: Decision,
    what: str = "segments",
    without: Collection[str] = (),
) -> list[str]:
    """A line for each kind of finding in segments or recordings that concerns this run, see `findings.fold`."""
    lines = fold(names, findings, what, without=[*without, NEVER, NO_DEPTH])
    missing = [missing_landmarks(one, decision) for one in findings]
    flat = [NO_DEPTH in sentences_for_run(one, decision) for one in findings]
    described = [describe_missing(missing, what, run, decision), describe_flat(flat, missing, what, run)]
    return [*lines, *filter(None, described)]


def describe_missing(missing: Sequence[Collection[str]], what: str, run: Path, decision: Decision) -> str:
    """What is missing in segments or recordings, each with its landmarks, and what to do; empty if nothing is."""
    affected = [names for names in missing if names]
    if not affected:
        return ""
    lacking = _in_most(affected)
    some = _some(len(affected), len(missing), what)
    had = f"{len(usual_landmarks(decision))} landmarks that {printable(run)} was trained with"
    fitting = _fitting_set(lacking)
    remedy = (
        f"this costs accuracy, see docs/data.md; {_use(fitting)}" if fitting else f"{REST}; use poses that have them"
    )
    return f"{some}: {len(lacking)} of the {had} are missing: {first_few(lacking, NAMED)} ({remedy})"


def describe_flat(flat: Sequence[bool], missing: Sequence[Collection[str]], what: str, run: Path) -> str:
    """Which segments or recordings have frames without depth, and what to do; empty if none has.

    missing: the landmarks that each lacks, see `describe_missing`.
    """
    if not any(flat):
        return ""
    affected = [names for names, is_flat in zip(missing, flat, strict=True) if is_flat]
    fitting = _fitting_set(_in_most([names for names in affected if names])) or "coco_17"
    remedy = f"z counts as 0; this costs accuracy, see docs/data.md; {_use(fitting)}"
    return (
        f"{_some(sum(flat), len(flat), what)}: frames without depth, which {printable(run)} was trained with ({remedy})"
    )


def _of_no_concern(decision: Decision) -> tuple[str, ...]:
    """Kinds of findings that are replaced here, or that are about what the run does not read."""
    reads_depth = decision.data.landmarks == "all" and decision.depth_fraction >= USUAL
    return (NEVER,) if reads_depth else (NEVER, NO_DEPTH)


def _in_most(affected: Sequence[Collection[str]]) -> list[str]:
    """The landmarks that most of these lack; where there are none, those that any lacks."""
    count = {name: sum(name in names for names in affected) for name in LANDMARKS}
    in_most = [name for name in LANDMARKS if count[name] > len(affected) / 2]
    return in_most or [name for name in LANDMARKS if count[name]]


def _fitting_set(lacking: Collection[str]) -> LandmarkSet | None:
    """The largest set for 2-D tools that has none of these landmarks."""
    sets: tuple[LandmarkSet, ...] = ("body_25", "coco_17")
    return next((landmarks for landmarks in sets if not set(KEPT[landmarks]) & set(lacking)), None)


def _use(landmarks: LandmarkSet) -> str:
    return f"use a run that was trained with --landmarks {landmarks}"


def _some(count: int, whole: int, what: str) -> str:
    return f"all {whole:,} {what}" if count == whole > 1 else f"{count:,} of {whole:,} {what}"
