"""Show a run: one page with figures, children, a player of every segment and why it was answered so; a model card.

The page RUN/report.html needs no server and no network. RUN/figures holds its figures for papers, RUN/model_card.md
says what the run is for and how good it is.

Example: python src/report.py --run output/main
"""

import sys
from pathlib import Path

from spasm.cli import app, progress
from spasm.config.fields import settings
from spasm.config.runtime import Hardware, MaxPlayers, RunData
from spasm.inference.trained_run import TrainedRun
from spasm.report import console


@settings
class Report(RunData):
    """Flags of report.py."""

    run: Path = Path("output/main")
    """Run folder, with at least one model whose folds are all trained; the report goes into it."""
    max_players: MaxPlayers = 1500
    """Segments of 5 s that can be played in the page; of more, the worst, the least certain and a sample are."""
    hardware: Hardware = Hardware()


def main(settings: Report) -> int:
    from spasm.report.build import load_data, report_run  # what plots takes a second to load

    run = TrainedRun(settings.run, settings.hardware)
    data = load_data(run.path, settings.data, settings.cache, progress.reading)
    report = report_run(
        run, data, settings.max_players, lambda total: progress.progress("explaining", total=total, unit="prediction")
    )
    size, playable = (run.path / "report.html").stat().st_size, len(report.playable)
    print(console.data_summary(data))
    if playable < len(data.names):
        print(f"{playable} of {len(data.names)} segments can be played in the page: the worst and a sample")
    print(f"written: {run.path / 'report.html'} ({size / 1e6:.1f} MB), model_card.md, figures/ as PNG and SVG")
    print("next:    open report.html in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Report, __doc__, stopped="the old report is as it was"))
