"""Plot STAM's attention: the weight of each clip, and of each joint within it, for one segment of a trained run.

The fold that was not trained on the segment's child predicts it. Joint weights are fractions within a clip: read them
only where the clip's own weight is large. The run needs a trained STAM, see the first example.

Examples:
  python src/train_folds.py --data input/demo --run output/demo --cache output/demo/cache --models stam
  python src/plot_stam_attention.py --run output/demo --out output/attention.png
  python src/plot_stam_attention.py --run output/main --segment child_1_2.npy --out output/attention.png
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app
from spasm.config.fields import SettingsError, Shown, settings
from spasm.config.runtime import RunData
from spasm.core import files
from spasm.core.outputs import PNG, check_replaceable
from spasm.report import console
from spasm.runs.artefacts import read_run_info
from spasm.runs.folder import load_data, reopen_run


@settings
class PlotStamAttention(RunData):
    """Flags of plot_stam_attention.py."""

    run: Path = Path("output/main")
    """Run folder with a trained STAM."""
    segment: Annotated[str, Shown(value="NAME.npy", default="the first positive one")] = ""
    """Training segment."""
    out: Path = Path("output/attention.png")
    """Figure to write."""


def main(settings: PlotStamAttention) -> int:
    # torch and matplotlib take seconds to load, which a help text need not wait for.
    from spasm.explain.stam_attention import select_segment, stam_attention
    from spasm.report.attention_plot import describe_attention, plot_attention

    if settings.out.suffix != ".png":
        raise SettingsError(f"--out {settings.out} must end in .png; the nearest valid value is {settings.out}.png")
    check_replaceable(settings.out, PNG, "a PNG")
    info = read_run_info(settings.run)
    data = load_data(settings.run, settings.data, settings.cache)
    run = reopen_run(settings.run, data)
    row = select_segment(data, settings.segment)
    attention, joints = stam_attention(run, row)
    files.write_bytes(settings.out, plot_attention(data, row, attention, joints))
    print(console.data_summary(data))
    app.warn(data.findings)
    print(f"{data.names[row]}: {describe_attention(attention, info.frames)}")
    print(f"written: {settings.out}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, PlotStamAttention, __doc__))
