"""Build MediaPipe's pose models (lite, full and heavy) from the npm package @mediapipe/pose.

`make pose-model` downloads the package and runs this.

Examples:
  make pose-model
  python src/build_pose_models.py --package input/models/mediapipe-pose-0.5.1675469404.tgz --out input/models
"""

import hashlib
import sys
from pathlib import Path

from spasm.cli import app
from spasm.config.fields import settings
from spasm.core import files
from spasm.core.errors import TrainingError
from spasm.video import mediapipe_models, sandbox


@settings
class BuildPoseModels:
    """Flags of build_pose_models.py."""

    package: Path = Path("input/models/mediapipe-pose-0.5.1675469404.tgz")
    """The npm package @mediapipe/pose."""
    out: Path = Path("input/models")
    """Folder for pose_landmarker_lite.task, _full.task and _heavy.task."""


def main(settings: BuildPoseModels) -> int:
    files.check_writable(settings.out)
    sources = mediapipe_models.read_package(settings.package)
    sandbox.block_network()
    for name, content in mediapipe_models.bundles(sources).items():
        digest = hashlib.sha256(content).hexdigest()
        if digest != mediapipe_models.BUNDLES[name]:
            raise TrainingError(f"the {name} model came out as {digest}: install requirements-video.txt as it stands")
        path = settings.out / f"pose_landmarker_{name}.task"
        files.write_bytes(path, content)
        print(f"written: {path}, {len(content) / 1e6:.1f} MB, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, BuildPoseModels, __doc__, stopped="run it again"))
