"""OpenPose's 18 joints and their video become VSViG's patches, by the commands of docs/seizure_onsets.md."""

import itertools

import numpy as np
import pytest

from helpers import pose_files
from helpers.commands import code_of
from spasm.data.landmarks import INDEX, LANDMARKS, VSVIG_15
from spasm.data.pictures import read_pictures
from spasm.data.recording_videos import TABLE

CV2 = pytest.importorskip("cv2", exc_type=ImportError)
FPS, SECONDS, T, HIDDEN = 25, 8, 30, "left_wrist"  # the wrist is not found from second 5 on
SIZE = (pose_files.WIDTH, pose_files.HEIGHT)
BRIGHT = [rgb for rgb in itertools.product((0, 127, 255), repeat=3) if max(rgb) == 255]
COLOURS = dict(zip(VSVIG_15, BRIGHT, strict=False))  # of each joint, RGB


@pytest.fixture
def recorded(tmp_path):
    """A folder with OpenPose's files and a video with a coloured disc at each joint, all of which move."""
    frames = FPS * SECONDS
    moved = 30 * np.sin(np.arange(frames) / FPS)
    people = np.full((frames, 1, len(LANDMARKS), 5), np.nan)
    (tmp_path / "videos").mkdir()
    writer = CV2.VideoWriter(str(tmp_path / "videos/child_3_1.mp4"), CV2.VideoWriter_fourcc(*"mp4v"), FPS, SIZE)
    for frame in range(frames):
        picture = np.zeros((*SIZE[::-1], 3), np.uint8)
        for number, name in enumerate(VSVIG_15):
            x, y = 90 + 115 * (number % 5) + moved[frame], 90 + 150 * (number // 5)
            CV2.circle(picture, (round(x), round(y)), 20, COLOURS[name][::-1], -1)
            if name != HIDDEN or frame < 5 * FPS:
                people[frame, 0, INDEX[name]] = [x / SIZE[0], y / SIZE[1], 0, 0.9, 0.9]
        writer.write(picture)
    writer.release()
    pose_files.openpose(tmp_path / "json", people, "coco_18", "child_3_1")
    return tmp_path


def test_each_patch_shows_its_joint_at_its_moment(recorded):
    size = ("--width", SIZE[0], "--height", SIZE[1])
    given = ("import_poses", recorded / "json", "--fps", FPS, *size, "--frames", T, "--out", recorded)
    assert code_of(*given) == 0
    (recorded / "seizures.csv").write_text("recording,eeg_onset_s,clinical_onset_s\nchild_3_1.npy,3,5\n")
    cut = ("--recordings", recorded / "recordings", "--seizures", recorded / "seizures.csv", "--frames", T)
    assert code_of("segments_from_onsets", *cut, "--out", recorded / "cut") == 0
    assert (recorded / "cut" / TABLE).is_file()
    made = ("--data", recorded / "cut", "--pictures", "vsvig", "--frames", T)
    assert code_of("extract_pictures", *made) == 0
    hidden = 0
    for path in sorted((recorded / "cut/vsvig").glob("*.npz")):
        arrays = read_pictures(path, "vsvig")
        for number, name in enumerate(VSVIG_15):
            patches, found = arrays["patches"][:, number], arrays["keypoints"][:, number, 2] > 0
            hidden += (~found).sum()
            assert not patches[~found].any() and (found.all() or name == HIDDEN)
            colours = patches[found, :, 16, 16].astype(int)
            assert np.abs(colours - COLOURS[name]).max(initial=0) < 60, (path.name, name)
    assert hidden > 0
