"""Make MediaPipe's pose models, lite, full and heavy, of the npm package @mediapipe/pose: what `make pose-model` runs.

Example: python src/pose_model.py --package input/models/mediapipe-pose-0.5.1675469404.tgz --out input/models
"""

import hashlib
import sys

import command_line
from spasm import files, offline, pose_models
from spasm.errors import TrainingError
from spasm.settings import PoseModel


def main(settings: PoseModel) -> int:
    files.check_writable(settings.out)
    sources = pose_models.read_package(settings.package)
    offline.cut()
    for name, content in pose_models.bundles(sources).items():
        digest = hashlib.sha256(content).hexdigest()
        if digest != pose_models.BUNDLES[name]:
            raise TrainingError(f"the {name} model came out as {digest}: install requirements-video.txt as it stands")
        path = settings.out / f"pose_landmarker_{name}.task"
        files.write_bytes(path, content)
        print(f"written: {path}, {len(content) / 1e6:.1f} MB, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(command_line.run(main, PoseModel, __doc__, stopped="run it again"))
