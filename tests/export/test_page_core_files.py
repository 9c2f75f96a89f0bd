"""The page reads and writes pose files in a real browser as the library does, and refuses hostile ones in time."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.browser import needs_browser
from helpers.page import PageModules, Problem, served
from helpers.pose_tables import child, mediapipe_csv
from helpers.poses import moving
from helpers.segments import header, npy
from spasm.config.pose_files import PoseFileSettings
from spasm.data.findings import clean
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.data.segments import inspect_pose
from spasm.video.pose_import import PoseImport, import_pose_files

pytestmark = needs_browser
READ_NPY = "async (load, bytes) => (await load('core/npy.js')).readNpy(bytes.buffer)"
READ_FILE = """async (load, bytes, name, fps) => {
  const {readPoseFile} = await load('core/pose_file.js');
  return readPoseFile(new File([bytes], name), fps === null ? {} : {fps});
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[PageModules]:
    with served() as address:
        yield PageModules(browser, address)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def refused(page: PageModules, content: bytes, name: str = "child_1_1.npy", fps: float | None = 30) -> Problem:
    with pytest.raises(Problem) as problem:
        page.run(READ_FILE, content, name, fps)
    assert problem.value.values["file"] == name
    return problem.value


# ---- .npy


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_float_type_and_order_are_read_exactly(page, dtype, order):
    values = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(dtype)
    values.flat[:7] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 6e-8, 65504]  # also the least and the largest of 16 bits
    found = page.run(READ_NPY, saved(np.asarray(values, order=order)))
    assert found["shape"] == [4, 3, 5]
    assert found["data"].dtype == (np.float64 if dtype.endswith("8") else np.float32)
    np.testing.assert_array_equal(found["data"], values.ravel().astype(found["data"].dtype))
    assert np.signbit(found["data"][4])


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 33, 5), (1, 2, 3, 1)])
def test_written_arrays_are_the_bytes_that_numpy_saves(page, shape):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    written = page.call("core/npy.js", "writeNpy", values.ravel(), list(shape))
    assert written.tobytes() == saved(values)
    np.testing.assert_array_equal(page.run(READ_NPY, written)["data"], values.ravel())


def test_saved_poses_are_a_recording_for_the_library(page, tmp_path):
    poses = clean(moving(3, 40)[0])[0]
    path = tmp_path / "child_1_1.npy"
    path.write_bytes(page.call("core/saving.js", "posesNpy", poses.ravel()).tobytes())
    np.testing.assert_array_equal(inspect_pose(path, 40, tmp_path).pose, poses)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_recording_is_read_clean_as_the_library_reads_it(page, dtype):
    raw = moving(1, 70)[0].astype(dtype)
    raw[3, 4, :2] = 0
    raw[10:20] = np.nan
    found = page.run(READ_FILE, saved(raw), "child_1_1.npy", None)
    assert found["frames"] == 70
    np.testing.assert_array_equal(found["poses"].reshape(-1, 33, 5), clean(raw)[0])
    assert [one["kind"] for one in found["findings"]] == ["marks"]


SHAPE = "(2, 33, 5)"
HOSTILE = {
    "a file of zero bytes": (b"", "npyEmpty"),
    "a few bytes": (b"\x93NUM", "npyUnknown"),
    "another file": (b"RIFF" + bytes(200), "npyUnknown"),
    "a zip": (b"PK\x03\x04" + bytes(200), "npyIsZip"),
    "a pickle": (b"\x80\x04\x95" + bytes(200), "npyIsPickle"),
    "only the magic": (b"\x93NUMPY\x01\x00", "npyCutShort"),
    "a version of the future": (npy(header(), version=(9, 0)), "npyVersion"),
    "a header of a gigabyte": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**30) + b"{" * 300, "npyHeader"),
    "a header that ends early": (npy(header())[:60], "npyCutShort"),
    "a pickled object": (npy(header("'|O'"), bytes(2 * 33 * 5 * 8)), "npyType"),
    "text": (npy(header("'<U7'"), bytes(400)), "npyType"),
    "records": (npy(header("[('x', '<f4')]"), bytes(400)), "npyType"),
    "integers": (npy(header("'<i8'"), bytes(400)), "npyType"),
    "a shape of petabytes": (npy(header(shape="(999999999999, 33, 5)"), bytes(660)), "npyCutShort"),
    "a shape beyond every number": (npy(header(shape=f"({10**14}, {10**14}, {10**14})")), "npyCutShort"),
    "a negative length": (npy(header(shape="(-1, 33, 5)"), bytes(660)), "npyShape"),
    "a length that is no number": (npy(header(shape="(1e9, 33, 5)"), bytes(660)), "npyHeader"),
    "a length without a tuple": (npy(header(shape="(330)"), bytes(1320)), "npyShape"),
    "code in the header": (npy("{'descr': exit(), 'fortran_order': False, 'shape': (1,)}"), "npyType"),
    "a field twice": (npy("{'shape': (1,), 'shape': (1,), 'descr': '<f4', 'fortran_order': False}"), "npyHeader"),
    "a field too few": (npy("{'descr': '<f4', 'shape': (1,)}"), "npyHeader"),
    "a field too many": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}"), "npyHeader"),
    "a number for the order": (npy("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}"), "npyHeader"),
    "values that end early": (npy(header(shape=SHAPE), bytes(100)), "npyCutShort"),
    "bytes after the values": (npy(header(shape=SHAPE), bytes(2 * 660 + 1)), "npyTooLong"),
    "another shape": (saved(np.zeros((2, 17, 3), np.float32)), "posesShape"),
    "segments": (saved(np.zeros((2, 3, 33, 5), np.float32)), "posesShape"),
    "no frame": (saved(np.zeros((0, 33, 5), np.float32)), "emptyRecording"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused(page, what):
    content, code = HOSTILE[what]
    assert refused(page, content).code == code


def test_a_header_of_a_night_is_refused_before_its_values_are_read(page):
    """The file is 7 GB long as the page sees it; reading it would fail."""
    frames = 8 * 3600 * 30 * 12
    content = npy(header(shape=f"({frames}, 33, 5)"))
    with pytest.raises(Problem) as problem:
        page.run(
            """async (load, head, size) => {
              const {readPoseFile} = await load('core/pose_file.js');
              const never = () => { throw new Error("the whole file was read"); };
              const slice = (from, to) => new Blob([head]).slice(from, to);
              return readPoseFile({name: "night.npy", size, slice, arrayBuffer: never, text: never});
            }""",
            content, len(content) + frames * 660,
        )  # fmt: skip
    assert problem.value.code == "recordingTooLong" and problem.value.values["hours"] == 96


def test_random_bytes_after_the_magic_are_always_a_problem_and_never_an_error(page):
    rng = np.random.default_rng(0)
    whole = bytearray(saved(np.zeros((2, 33, 5), np.float32)))
    contents = []
    for _ in range(150):
        content = whole.copy()
        for at in rng.integers(6, 128, rng.integers(1, 6)):
            content[at] = rng.integers(256)
        contents.append(bytes(content[: rng.integers(1, len(content)) if rng.random() < 0.3 else None]))
    codes = page.run(
        """async (load, files) => {
          const {readNpy} = await load('core/npy.js'), {PageProblem} = await load('core/problem.js');
          return files.map((bytes) => {
            try { return String(readNpy(bytes.buffer).shape); }
            catch (error) { return error instanceof PageProblem ? error.code : `ERROR ${error}`; }
          });
        }""",
        contents,
    )  # fmt: skip
    assert not [code for code in codes if code.startswith("ERROR")]
    assert len({code for code in codes if code.startswith("npy")}) >= 4


# ---- MediaPipe's landmarks in a table or in JSON


def imported(tmp_path: Path, path: Path, fps: float) -> np.ndarray:
    """The poses that import_poses.py makes of a file, as the library reads them afterwards."""
    how = PoseImport(tmp_path / "out", PoseFileSettings(fps=fps))
    [recording] = import_pose_files([path], how, None).recordings.values()
    return clean(np.load(tmp_path / "out" / "recordings" / recording))[0]


def check_import(page: PageModules, tmp_path: Path, path: Path, fps: float) -> None:
    ours = imported(tmp_path, path, fps)
    found = page.run(READ_FILE, path.read_bytes(), path.name, fps)
    assert found["frames"] == len(ours)
    np.testing.assert_array_equal(found["poses"].reshape(-1, 33, 5), ours)


@pytest.mark.parametrize("fps", [30, 24, 50])
def test_a_table_of_named_landmarks_is_read_as_import_poses_reads_it(page, tmp_path, fps):
    check_import(page, tmp_path, mediapipe_csv(tmp_path / "walk.csv", child()), fps)


def spelled(poses: np.ndarray, spell: Any, first: int = 0, separator: str = ",", channels: int = 4) -> str:
    """A table whose columns are spelled by a function of the landmark's number and the channel's name."""
    names = ["x", "y", "z", "visibility"][:channels]
    mark = "." if separator == "," else ","
    lines = [["frame", *(spell(landmark, channel) for landmark in range(33) for channel in names)]]
    for frame, pose in enumerate(poses, first):
        values = pose[:, :channels].ravel().tolist()
        lines.append([str(frame), *("" if np.isnan(value) else repr(value).replace(".", mark) for value in values)])
    return "".join(f"{separator.join(line)}\n" for line in lines)


def by_name(landmark: int, channel: str) -> str:
    return f"{LANDMARKS[landmark]}_{channel}"


@pytest.mark.parametrize(
    ("spell", "options"),
    [
        (lambda n, c: f"{c}{n}", {}),
        (lambda n, c: f"{c}{n + 1}", {"first": 1}),
        (lambda n, c: f"{c[:1]}{n + 1}" if c != "visibility" else f"v{n + 1}", {}),
        (lambda n, c: f"landmark_{n}_{c}", {"separator": ";"}),
        (lambda n, c: f"PoseLandmark.{LANDMARKS[n].upper()}_{c}", {"channels": 3}),
        (lambda n, c: f"{LANDMARKS[n].replace('_', ' ').title()}.{c.upper()}", {"separator": "\t", "channels": 2}),
        (lambda n, c: f"{n:02d}_{LANDMARKS[n]}_{c}", {}),
    ],
)
def test_tables_in_usual_spellings_are_read_as_import_poses_reads_them(page, tmp_path, spell, options):
    path = tmp_path / "walk.csv"
    path.write_text(spelled(child(2), spell, **options))
    check_import(page, tmp_path, path, 25)


def test_frames_that_a_table_leaves_out_have_no_pose(page, tmp_path):
    lines = spelled(child(4), by_name).splitlines(keepends=True)
    path = tmp_path / "walk.csv"
    path.write_text("".join(lines[:12] + lines[20:]))
    check_import(page, tmp_path, path, 30)


def landmarks(pose: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip(CHANNELS[:4], map(float, point), strict=False)) for point in pose]


JSON_FORMS = {
    "lists of landmarks": lambda frames: frames,
    "objects with landmarks": lambda frames: [{"frame": n, "landmarks": one} for n, one in enumerate(frames)],
    "an object of frames": lambda frames: {"fps": 25, "frames": [{"pose_landmarks": one} for one in frames]},
    "results of MediaPipe Tasks": lambda frames: [{"landmarks": [one] if one else [], "other": []} for one in frames],
    "lists of numbers": lambda frames: [one and [list(point.values()) for point in one] for one in frames],
}  # fmt: skip


@pytest.mark.parametrize("form", JSON_FORMS)
def test_json_of_mediapipe_holds_the_same_poses_as_a_table_of_them(page, tmp_path, form):
    """import_poses.py reads no such JSON: the table that it reads is the reference."""
    poses = child(5)
    poses[..., 4] = poses[..., 3]
    frames = [landmarks(pose) if np.isfinite(pose).all() else None for pose in poses]
    ours = imported(tmp_path, mediapipe_csv(tmp_path / "walk.csv", poses), 25)
    found = page.run(READ_FILE, json.dumps(JSON_FORMS[form](frames)).encode(), "walk.json", 25)
    np.testing.assert_array_equal(found["poses"].reshape(-1, 33, 5), ours)


def table(change: Callable[[list[str]], list[str]] = list) -> bytes:
    """A table of named landmarks of 12 frames, its lines changed by a function."""
    return "\n".join(change(spelled(child(1, 12), by_name).splitlines())).encode()


def timed(lines: list[str]) -> list[str]:
    """A table with times in the place of frames, of which a few are left out."""
    header, *rows = [line.split(",", 1)[1] for line in lines]
    return [f"timestamp_ms,{header}", *(f"{33 * n + (400 if n > 6 else 0)},{row}" for n, row in enumerate(rows))]


def test_tables_that_hold_something_else_are_refused(page):
    one = landmarks(child()[0])
    pixels = child()[:12] * [640, 480, 640, 1, 1]
    cases = {
        "poseLayout": [b"frame,speed,mood\n1,2,3", table(lambda lines: [line.rsplit(",", 6)[0] for line in lines])],
        "csvCells": [table(lambda lines: [*lines[:5], lines[5][:40], *lines[6:]])],
        "csvNumber": [table(lambda lines: [*lines[:4], lines[4].replace("0.", "zero.", 1), *lines[5:]])],
        "csvFrame": [table(lambda lines: [*lines[:4], "-3" + lines[4][1:], *lines[5:]])],
        "severalPeople": [table(lambda lines: [*lines, lines[-1]])],
        "emptyRecording": [b"", b"\n\n", table(lambda lines: lines[:1])],
        "csvEncoding": [table().decode().encode("utf-16")],
        "unevenTimes": [table(timed)],
        "recordingTooLong": [table(lambda lines: [*lines[:-1], "999999" + lines[-1][2:]])],
    }  # fmt: skip
    for code, contents in cases.items():
        for content in contents:
            assert refused(page, content, "walk.csv").code == code
    of_json = {
        "poseLayout": [{"poses": 1}, 7, [[one[:17]]], [{"keypoints": [1, 2, 3]}], ["text"]],
        "severalPeople": [
            [{"landmarks": [one, one]}],
            [{"frame": 3, "landmarks": one}, {"frame": 3, "landmarks": one}],
        ],
        "jsonNumber": [[[{**one[0], "x": "0.5"}, *one[1:]]]],
        "jsonFrame": [[{"frame": 1.5, "landmarks": one}], [{"frame": -1, "landmarks": one}]],
        "emptyRecording": [[]],
        "worldLandmarks": [[[{**point, "x": point["x"] - 0.5, "y": point["y"] - 0.55} for point in one]]],
        "posesInPixels": [[landmarks(pose) for pose in pixels[:4]]],
    }
    for code, trees in of_json.items():
        for tree in trees:
            assert refused(page, json.dumps(tree).encode(), "walk.json").code == code
    for content in (b"{", b"[[[", b"[" * 100_000, b"\xff\xfe\x00"):
        assert refused(page, content, "walk.json").code == "jsonUnreadable"


def test_a_table_needs_a_plausible_frame_rate_and_a_file_a_known_ending(page):
    assert refused(page, table(), "walk.csv", None).code == "fpsMissing"
    for fps in (0, -25, 1e9, float("nan")):
        assert refused(page, table(), "walk.csv", fps).code == "fpsWrong"
    for name in ("walk.parquet", "walk", ".npy.txt"):
        assert refused(page, table(), name).code == "fileKind"
