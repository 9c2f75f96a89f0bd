"""Write a run's ST-GCN as an ONNX file, which predicts without Python: from cleaned poses to probability and attention.

The file holds this one network, not the blend of all models, with the calibration and the threshold that belong to it;
what it knows of itself, its metrics and its difference to the blend too, is in it as JSON. It is compared with torch
before it is written. docs/onnx.md says how to use it.

Examples:
  python src/export_onnx.py --run output/demo
  python src/export_onnx.py --run output/main --out network.onnx --evaluate-on input/others
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import FLAT, Shown, settings
from spasm.config.runtime import ExportedNetwork
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.outputs import check_replaceable
from spasm.export import network_description, onnx_file
from spasm.report import console
from spasm.runs.artefacts import read_decision


@settings
class ExportOnnx:
    """Flags of export_onnx.py."""

    network: Annotated[ExportedNetwork, FLAT] = ExportedNetwork()
    out: Annotated[Path | None, Shown(default="RUN/network.onnx")] = None
    """File to write."""


def main(settings: ExportOnnx) -> int:
    network = settings.network
    out = settings.out or network.run / "network.onnx"
    read_decision(network.run)  # before its folder is written to
    check_replaceable(out, onnx_file.START, "an ONNX file")
    files.check_writable(out.parent)
    files.remove_stale(out.parent, below=False)
    steps = 3 if network.evaluate_on is None else 4
    with progress.progress("exporting", total=steps, unit="step") as bar:
        written = onnx_file.export_run(network, out, bar.update)
    about = written.about
    differences = ", ".join(f"{name} {value:.0e}" for name, value in written.differences.items())
    print(f"compared with torch on {written.segments} simulated segments; the largest differences: {differences}")
    if about["simulated"]:
        print(console.SIMULATED)
    print("\n".join(network_description.lines(about)))
    print(f"written: {printable(out)} ({written.size / 1e6:.2f} MB)")
    print("next:    docs/onnx.md shows how to predict with it in Python and in JavaScript")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExportOnnx, __doc__, stopped="nothing was written"))
