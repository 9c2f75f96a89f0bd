"""What a check of a data folder found, as text for a terminal."""

from spasm.data.validation import Report


def folder_summary(report: Report) -> str:
    """What is in a data folder, and how many warnings and problems there are."""
    return (
        f"train: {report.segments} segments of {report.children} children, "
        f"{report.positives} of {report.labelled} labels positive ({_percent(report.prevalence)})\n"
        f"       {_percent(report.missing_frames)} of frames without a pose, "
        f"{report.without_pose} segments without any\n"
        f"test:  {report.test_segments} segments of {report.test_children} children\n"
        f"{_count(len(report.warnings) + len(report.findings), 'warning')}, {_count(len(report.problems), 'problem')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _percent(fraction: float) -> str:
    return f"{fraction:.1%}" if fraction == fraction else "none"  # NaN where there is nothing to divide by
