"""What was noticed in new poses, as far as it concerns the run that predicts them.

Landmarks that the training almost always had and new poses never have, as when another pose tool made them, change
predictions; landmarks that the run does not read change nothing.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from spasm.core.errors import printable
from spasm.data.findings import NEVER, NO_DEPTH, Findings, fold
from spasm.data.landmark_sets import KEPT
from spasm.data.landmarks import LANDMARKS
from spasm.runs.artefacts import Decision

USUAL = 0.9  # a landmark found in this fraction of the training frames with a pose is missed where it is never found
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
        sentences[NEVER] = f"{len(missing)} {are} missing: {_shortened(missing)}"
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
    lines = fold(names, findings, what, without=[*without, *_of_no_concern(decision)])
    missing = [missing_landmarks(one, decision) for one in findings]
    return [*lines, *filter(None, [describe_missing(missing, what, run, decision)])]


def describe_missing(missing: Sequence[Collection[str]], what: str, run: Path, decision: Decision) -> str:
    """What is missing in segments or recordings, each with its landmarks, and what to do; empty if nothing is."""
    affected = [names for names in missing if names]
    if not affected:
        return ""
    count = {name: sum(name in names for names in affected) for name in LANDMARKS}
    lacking = [name for name in LANDMARKS if count[name] > len(affected) / 2]  # in most of these
    lacking = lacking or [name for name in LANDMARKS if count[name]]
    some = f"all {len(missing):,}" if len(affected) == len(missing) > 1 else f"{len(affected):,} of {len(missing):,}"
    had = f"{len(usual_landmarks(decision))} landmarks that {printable(run)} was trained with"
    return f"{some} {what}: {len(lacking)} of the {had} are missing: {_shortened(lacking)} ({_remedy(lacking)})"


def _of_no_concern(decision: Decision) -> tuple[str, ...]:
    """Kinds of findings that are replaced here, or that are about what the run does not read."""
    reads_depth = decision.data.landmarks == "all" and decision.depth_fraction >= USUAL
    return (NEVER,) if reads_depth else (NEVER, NO_DEPTH)


def _remedy(lacking: Collection[str]) -> str:
    """What to do where these landmarks are missing."""
    fitting = [landmarks for landmarks, kept in KEPT.items() if not set(kept) & set(lacking)]
    if not fitting:
        return "the predictions rest on the others; use poses that have them"
    largest = max(fitting, key=lambda landmarks: len(KEPT[landmarks]))
    return f"this costs accuracy, see docs/data.md; use a run that was trained with --landmarks {largest}"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
