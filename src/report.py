"""Write the report of a run: a page with metrics, figures, children and a player of segments; and a model card.

The page RUN/report.html needs no server and no network. RUN/figures has its figures for papers, RUN/model_card.md
describes the run's purpose and how good it is.

Examples:
  python src/report.py --run output/demo
  python src/report.py --run output/main --max-players 500
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import ADVANCED, settings
from spasm.config.runtime import Hardware, MaxPlayers, RunData
from spasm.inference.trained_run import TrainedRun
from spasm.report import console
from spasm.runs.folder import load_data


@settings
class Report(RunData):
    """Flags of report.py."""

    run: Path = Path("output/main")
    """Run folder with a trained model; the report goes into it."""
    max_players: MaxPlayers = 1500
    """Most segments (of 5 s) in the page's player: the worst predictions, the least certain ones and a sample."""
    hardware: Annotated[Hardware, ADVANCED] = Hardware()


def main(settings: Report) -> int:
    from spasm.report.build import report_run  # what plots takes a second to load

    run = TrainedRun(settings.run, settings.hardware)
    data = load_data(run.path, settings.data, settings.cache, progress.reading)
    report = report_run(
        run, data, settings.max_players, lambda total: progress.progress("explaining", total=total, unit="prediction")
    )
    size, playable = (run.path / "report.html").stat().st_size, len(report.playable)
    print(console.data_summary(data))
    app.warn(data.findings)
    if playable < len(data.names):
        print(f"{playable} of {len(data.names)} segments can be played in the page: the worst and a sample")
    print(f"written: {run.path / 'report.html'} ({size / 1e6:.1f} MB), model_card.md, figures/ as PNG and SVG")
    print(f"next:    open {run.path / 'report.html'} in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Report, __doc__, stopped="the old report is as it was"))
