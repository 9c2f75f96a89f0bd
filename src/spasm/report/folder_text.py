"""What a check of a data folder found, as text for a terminal."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from spasm.core.errors import DataError, printable
from spasm.data.validation import Report


def warning_lines(warnings: Sequence[DataError]) -> list[str]:
    """A line for each, but files that share a warning stand behind the first of them: there can be hundreds."""
    alike = defaultdict(list)
    for warning in warnings:
        alike[warning.reason, warning.hint].append(warning)
    lines = []
    for first, *others in alike.values():
        lines.append(f"warning: {first}")
        if others:
            names = ", ".join(printable(Path(other.path).name) for other in others[:10])
            lines.append(f"  the same in {len(others)} more: {names}{', ...' if len(others) > 10 else ''}")
    return lines


def folder_summary(report: Report) -> str:
    """What is in a data folder, and how many warnings and problems there are."""
    return (
        f"train: {report.segments} segments of {report.children} children, "
        f"{report.positives} of {report.labelled} labels positive ({_percent(report.prevalence)})\n"
        f"       {_percent(report.missing_frames)} of frames without a pose, "
        f"{report.without_pose} segments without any\n"
        f"test:  {report.test_segments} segments of {report.test_children} children\n"
        f"{len(report.warnings)} warnings, {len(report.problems)} problems"
    )


def _percent(fraction: float) -> str:
    return f"{fraction:.1%}" if fraction == fraction else "none"  # NaN where there is nothing to divide by
