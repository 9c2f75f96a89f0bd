"""Import pose files of other tools: recordings at 30 frames per second, and segments in the challenge's layout.

Reads the files of OpenPose, AlphaPose, mmpose (RTMPose, ViTPose), Detectron2, COCO, Ultralytics, DeepLabCut, SLEAP and
MediaPipe, and arrays; the content decides, not the name. Joints become landmarks, places become fractions of the
picture, one person is followed, and what the tool did not find stays missing. A file that is imported is not imported
again. docs/data.md shows the files of each tool.

Examples:
  python src/import_poses.py walk_json/ --fps 25 --width 1920 --height 1080 --out input/poses
  python src/import_poses.py alphapose-results.json --video walk.mp4
  python src/import_poses.py poses/*.json --fps 30 --width 640 --height 480 --at 0.3,0.6
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app
from spasm.config.fields import POSITIONAL, SettingsError, Shown, settings, within
from spasm.config.pose_files import Place, PoseFileSettings, place_of
from spasm.core.errors import DataProblems
from spasm.core.outputs import check_folder
from spasm.core.text import shell_words
from spasm.video.pose_import import MOST_PEOPLE, USUAL_PEOPLE, PoseImport, import_pose_files, import_summary
from spasm.video.tracking import Pick


@settings
class ImportPoses:
    """Flags of import_poses.py."""

    files: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Pose files, or folders of them; a folder of OpenPose's frames is one recording."""
    out: Path = Path("input/poses")
    """Folder to write; files already imported there are not imported again."""
    file: PoseFileSettings = PoseFileSettings()
    child: Annotated[int | None, within(1, 1_000_000_000), Shown(default="another child in each recording")] = None
    """Number of the child in all these files; files named child_3_1 are of child 3."""
    pick: Pick = "child"
    """Which person is the child: the likeliest by size and height of the head, or by size or time in view alone."""
    at: Place | None = None
    """A place of the child at any time, x,y in fractions of the picture from its top left corner, such as 0.3,0.6. It
    overrides --pick."""
    max_people: Annotated[int, within(1, MOST_PEOPLE)] = USUAL_PEOPLE
    """Most people to follow, those of each frame with the highest confidence; more take more time."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""


def main(settings: ImportPoses) -> int:
    if not settings.files:
        raise SettingsError(f"name a pose file: {app.command()} poses.json --fps 25 --width 640 --height 480")
    check_folder(settings.out, ("test/*.npy", "recordings/*.npy"), "recordings/*.json")
    how = PoseImport(
        settings.out, settings.file, settings.max_people, settings.pick, place_of(settings.at), settings.frames
    )
    imported = import_pose_files(settings.files, how, settings.child)
    if imported.done_before:
        print(f"imported already: {imported.done_before}")
    for one in imported.made:
        print(import_summary(one))
    if imported.manifests:
        print(f"written: {how.out / 'poses.csv'}, recordings/ and segments in test/ ({settings.frames} frames each)")
        test, recording = how.out / "test", how.out / "recordings" / imported.manifests[0]["recording"]
        print(f"next:    python submission.py --test {shell_words(test)}")
        print(f"or:      python src/timeline.py {shell_words(recording)}")
    if imported.problems:
        raise DataProblems(imported.problems)
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ImportPoses, __doc__, stopped="files that were imported are kept; run it again"))
