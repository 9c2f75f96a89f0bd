"""Write a run's ST-GCN as an ONNX file, which predicts without Python: from cleaned poses to probability and attention.

The file holds this one network, not the blend of all models, with the calibration and the threshold that belong to it;
what it knows of itself, its metrics and its difference to the blend too, is in it as JSON. It is compared with torch
before it is written. docs/onnx.md says how to use it.

Examples:
  python src/export_onnx.py --run output/demo
  python src/export_onnx.py --run output/main --out network.onnx --evaluate-on input/others
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import Shown, settings
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.outputs import check_replaceable
from spasm.export import onnx_file
from spasm.report import console
from spasm.runs.artefacts import read_decision


@settings
class ExportOnnx:
    """Flags of export_onnx.py."""

    run: Path = Path("output/main")
    """Trained run, with stgcn_mil among its models."""
    out: Annotated[Path | None, Shown(default="RUN/network.onnx")] = None
    """File to write."""
    evaluate_on: Annotated[Path | None, Shown(default="the run's out-of-fold predictions")] = None
    """Data folder with labelled segments that the run was not trained on, or simulated ones with test/ and truth.csv:
    the network is compared with the blend on these."""


def main(settings: ExportOnnx) -> int:
    run, out = settings.run, settings.out or settings.run / "network.onnx"
    read_decision(run)  # before its folder is written to
    check_replaceable(out, onnx_file.START, "an ONNX file")
    files.check_writable(out.parent)
    files.remove_stale(out.parent, below=False)
    steps = 3 if settings.evaluate_on is None else 4
    with progress.progress("exporting", total=steps, unit="step") as bar:
        written = onnx_file.export_run(run, out, settings.evaluate_on, bar.update)
    about, compared = written.about, written.about["compared_with_blend"]
    differences = ", ".join(f"{name} {value:.0e}" for name, value in written.differences.items())
    print(f"compared with torch on {written.segments} simulated segments; the largest differences: {differences}")
    if about["simulated"]:
        print(console.SIMULATED)
    print(f"the network alone, at its own threshold of {about['threshold']:.3f}, out of fold and cross-fitted:")
    for name in ("sensitivity", "specificity", "f1", "auc"):
        print(f"  {name:12}{with_interval(about['metrics'][name])}")
    print(f"the network alone minus the blend, on {compared['where']}:")
    for name in ("f1", "auc"):
        print(f"  {name:12}{with_interval(compared[name])}")
    print(f"written: {printable(out)} ({written.size / 1e6:.2f} MB)")
    print("next:    docs/onnx.md shows how to predict with it in Python and in JavaScript")
    return 0


def with_interval(metric: Mapping[str, float | None]) -> str:
    """A metric with its 95 % interval."""
    value, low, high = (console.number(metric[key]) for key in ("value", "low", "high"))
    return f"{value}   95 % interval {low.strip()} to {high.strip()}"


if __name__ == "__main__":
    sys.exit(app.run(main, ExportOnnx, __doc__, stopped="nothing was written"))
