"""Write a run's network as a page that predicts in the visitor's browser: a folder for any web server.

The page reads a video, a pose file or a camera, finds the child and predicts, all on the visitor's own device: nothing
is sent. It holds one network, not the blend of all models, and says how good that is. docs/browser.md describes how to
serve it. `make web` gets the packages that it needs.

Examples:
  python src/export_web.py --run output/demo
  python src/export_web.py --run output/main --out output/web
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import FLAT, settings
from spasm.config.runtime import ExportedNetwork
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.text import shell_words
from spasm.export import network_description, onnx_file, site
from spasm.report import console


@settings
class ExportWeb:
    """Flags of export_web.py."""

    network: Annotated[ExportedNetwork, FLAT] = ExportedNetwork()
    out: Path = Path("output/web")
    """Folder to write; it must be new, empty, or such a page."""
    packages: Path = Path("input/models")
    """Folder of the npm packages, as `npm pack` writes them."""
    model: Path = Path("input/models/pose_landmarker_lite.task")
    """Lite pose model; `make pose-model` builds it."""


def main(settings: ExportWeb) -> int:
    out = settings.out
    site.check_out(out)
    content = {**site.page_files(), **site.read_packages(settings.packages)}
    content[site.POSE_MODEL] = site.read_pose_model(settings.model)
    files.check_writable(out)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.onnx"
        with progress.progress("exporting", total=3 if settings.network.evaluate_on is None else 4, unit="step") as bar:
            about = onnx_file.export_run(settings.network, network, bar.update).about
        content[site.NETWORK] = network.read_bytes()
    content[site.MODEL_INFO] = json.dumps(about, indent=1, allow_nan=False).encode()
    site.write(out, content)
    if about["simulated"]:
        print(console.SIMULATED)
    print("\n".join(network_description.lines(about)))
    print("what a browser loads at the first visit, and keeps:")
    rows = site.sizes(content)
    for name, size, packed in rows:
        print(f"  {size / 1e6:6.2f} MB, {packed / 1e6:5.2f} MB compressed  {name}")
    total, packed = sum(row[1] for row in rows), sum(row[2] for row in rows)
    print(f"  {total / 1e6:6.2f} MB, {packed / 1e6:5.2f} MB compressed  in all")
    print(f"written: {printable(out)} ({len(content) + 1} files)")
    server = shell_words("python", "-m", "http.server", "--bind", "127.0.0.1", "--directory", out)
    print(f"next:    {server}, then open http://localhost:8000")
    print("         docs/browser.md describes how to serve it to others")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExportWeb, __doc__, stopped="run it again"))
