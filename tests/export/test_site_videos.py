"""Videos and the camera in the page: the poses are those of extract_pose.py, and hostile files only give a message."""

import base64
import json

import numpy as np
import pytest

from helpers.browser import CHROMIUM, FLAGS, needs_browser
from helpers.site import VideoPage
from helpers.video import MODEL, cv2, make_video  # noqa: F401
from spasm.data import findings
from spasm.export import onnx_file
from spasm.video import decode, resampling
from spasm.video.landmarker import PoseLandmarker
from spasm.video.tracking import chosen, tracks

pytestmark = needs_browser
SIZE = (320, 240)
WITHIN = 0.02  # of the picture's width or height


@pytest.fixture(scope="module")
def video(make_video):  # noqa: F811
    return make_video("child_7_1.webm", seconds=2.0, size=SIZE)


@pytest.fixture
def page(browser, site):
    context = browser.new_context()
    yield VideoPage(context, site)
    context.close()


def by_extract_pose(path):
    """Times (F,), people of each frame, picture: what extract_pose.py finds with the same pose model."""
    times, detections, picture = [], [], (0, 0)
    with PoseLandmarker(MODEL, 3) as find:
        for time_s, pixels, _ in decode.frames(path):
            times.append(time_s)
            picture = pixels.shape[1], pixels.shape[0]
            detections.append(find(pixels, round(time_s * 1000)))
    return np.array(times), detections, picture


def by_page(found):
    detections = [np.array(people, np.float32).reshape(-1, 33, 5) for people in found["detections"]]
    return np.array(found["timesS"]), detections, tuple(found["picture"])


def probability(site, times, detections, picture):
    """The network's probability for the video's first segment."""
    frames = json.loads((site.folder / "model/model.json").read_text())["frames"]
    poses = resampling.resampled(times, chosen(tracks(detections, picture), "child")[0].over(len(times)))
    poses = np.pad(poses, ((0, max(0, frames - len(poses))), (0, 0), (0, 0)), constant_values=np.nan)[:frames]
    cleaned = findings.clean(poses)[0][None].astype(np.float32)
    return float(onnx_file.run_onnx(site.folder / "model/network.onnx", cleaned).probability[0])


def assert_same_poses(theirs, ours):
    assert [len(people) for people in theirs] == [len(people) for people in ours]
    mine, python = (np.concatenate(people) for people in (ours, theirs))
    seen = (mine[..., 3] > 0.5) & (python[..., 3] > 0.5)
    assert seen.mean() > 0.3
    difference = np.abs(mine - python)
    assert difference[..., :2][seen].max() < WITHIN
    assert np.median(difference[..., 4]) < 0.001  # presence, which MediaPipe's JavaScript leaves out


def test_the_page_finds_the_poses_that_extract_pose_finds(page, video, site, record_property):
    found = page.analyse(video)
    theirs, ours = by_extract_pose(video), by_page(found)
    assert ours[2] == theirs[2] == SIZE
    assert np.allclose(np.diff(ours[0]), np.diff(theirs[0]), atol=0.001)
    assert_same_poses(theirs[1], ours[1])
    assert not found["isStill"] and not found["endsEarly"]
    assert found["last"]["done"] == len(ours[0])
    assert found["pictures"][0][:2] == [320, 240]
    predicted = [probability(site, *each) for each in (theirs, ours)]
    record_property("probabilities of extract_pose.py and of the page", predicted)
    assert abs(predicted[0] - predicted[1]) < 0.01


def test_the_pixels_of_a_frame_are_those_that_opencv_gives(page, video):
    page.page.set_input_files("#test-file", str(video))
    data = page.run("""
        const reading = await page("video/reading.js");
        const { pixelsOf } = await page("video/pixels.js");
        for await (const sample of reading.frames(await reading.openVideo(file), 0, Infinity)) {
            const frame = sample.toVideoFrame();
            const picture = await pixelsOf(frame);
            frame.close();
            sample.close();
            const lines = Array.from({ length: 240 }, (_, y) => picture.data.subarray(y * 1280, (y + 1) * 1280));
            return lines.map((line) => btoa(String.fromCharCode(...line)));
        }
    """)
    ours = np.frombuffer(b"".join(map(base64.b64decode, data)), np.uint8).reshape(240, 320, 4)[..., :3].astype(int)
    theirs = next(decode.frames(video))[1].astype(int)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours == theirs).mean() > 0.99


def test_a_phone_video_that_was_held_upright_gives_the_poses_of_extract_pose(page, make_video, tmp_path):  # noqa: F811
    lying = make_video("lying.webm", fps=10, seconds=1.0, size=SIZE, turned=True)
    page.page.set_input_files("#test-file", str(lying))
    content = page.run("""
        const bunny = await page("vendor/mediabunny/mediabunny.js");
        const input = new bunny.Input({ source: new bunny.BlobSource(file), formats: [bunny.WEBM] });
        const target = new bunny.BufferTarget();
        const output = new bunny.Output({ format: new bunny.Mp4OutputFormat(), target });
        const video = { rotate: 90, allowRotationMetadata: true };
        await (await bunny.Conversion.init({ input, output, video })).execute();
        return btoa(Array.from(new Uint8Array(target.buffer), (byte) => String.fromCharCode(byte)).join(""));
    """)
    phone = tmp_path / "phone.mp4"
    phone.write_bytes(base64.b64decode(content))
    theirs, ours = by_extract_pose(phone), by_page(page.analyse(phone))
    assert ours[2] == theirs[2] == SIZE
    assert_same_poses(theirs[1], ours[1])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_frame_is_rotated_as_the_file_says(page, rotation):
    generator = np.random.default_rng(1)
    width, height = 6, 4
    data = generator.integers(16, 236, width * height * 3 // 2).tolist()
    code = """
        const { converted } = await page("video/pixels.js");
        const luma = { offset: 0, stride: values.width };
        const chroma = { u: 24, v: 30, stride: 3, step: 1 };
        const frame = { data: Uint8Array.from(values.data), width: 6, height: 4, luma, chroma, isFull: false };
        const picture = converted(frame, values.rotation);
        return [picture.width, picture.height, Array.from(picture.data)];
    """
    pictures = []
    for turned in (0, rotation):
        wide, high, pixels = page.run(code, data=data, width=width, rotation=turned)
        pictures.append(np.array(pixels).reshape(high, wide, 4))
    assert np.array_equal(np.rot90(pictures[0], -rotation // 90), pictures[1])


def test_the_parts_of_a_video_give_the_same_poses_on_one_core_as_on_two(page, make_video):  # noqa: F811
    longer = make_video("child_7_2.webm", fps=10, seconds=5.0, size=SIZE)
    one, two = (page.analyse(longer, workers=workers) for workers in (1, 2))
    assert len(one["timesS"]) == 50
    assert one["timesS"] == two["timesS"]
    assert one["detections"] == two["detections"]


def test_a_photograph_is_recognised_as_one(page, make_video):  # noqa: F811
    still = make_video("still.webm", fps=10, seconds=1.0, size=SIZE, still=True)
    assert page.analyse(still)["isStill"]


def test_a_video_without_a_person_gives_frames_without_people(page, make_video):  # noqa: F811
    empty = make_video("empty.webm", fps=10, seconds=1.0, size=SIZE, empty=True)
    found = page.analyse(empty)
    assert found["detections"] == [[]] * 10


def test_a_video_that_was_cut_is_read_as_far_as_it_goes(page, video, tmp_path):
    cut = tmp_path / "cut.webm"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    found = page.analyse(cut)
    assert 10 < len(found["timesS"]) < 50
    assert found["endsEarly"]


def test_a_video_that_was_cut_before_its_table_is_called_damaged(page, make_video, tmp_path):  # noqa: F811
    whole = make_video("whole.mp4", fps=10, seconds=1.0, size=SIZE)  # its table is at the end
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert page.analyse(cut)["problem"] == "damagedVideo"


def test_a_codec_that_the_browser_lacks_is_named(page, make_video):  # noqa: F811
    old = make_video("old.mp4", fps=10, seconds=1.0, size=SIZE)  # MPEG-4 Part 2
    found = page.analyse(old)
    assert (found["problem"], found["values"]) == ("codec", {"name": "old.mp4", "codec": "mp4v"})


def test_an_abort_ends_the_analysis_at_once(page, video):
    page.page.set_input_files("#test-file", str(video))
    problem = page.run("""
        const { analyseVideo } = await page("video/video.js");
        const stop = new AbortController();
        await analyseVideo(file, { signal: stop.signal, onProgress: () => stop.abort() });
    """)
    assert problem["problem"] in ("AbortError", 20)


HOSTILE = {
    "empty.mp4": (b"", "emptyFile"),
    "text.mp4": (b"This is no video.\n" * 50, "notAVideo"),
    "zeros.webm": (bytes(5000), "notAVideo"),
    "playlist.mp4": (b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://example.org/part.ts\n", "notAVideo"),
    "page.html": (b"<script>fetch('http://example.org')</script>", "notAVideo"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_a_message_and_no_request(page, tmp_path, name):
    content, problem = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    assert page.analyse(tmp_path / name)["problem"] == problem
    assert [url for url in page.requests if not url.startswith((page.url, "blob:"))] == []


def test_a_browser_without_webcodecs_gives_a_message(page, video):
    page.page.evaluate("delete window.VideoDecoder")
    assert page.analyse(video)["problem"] == "noWebCodecs"


@pytest.fixture
def camera_page(browser, site, video, tmp_path):
    """The page in a browser of its own, whose camera shows the video."""
    pixels = [picture for _, picture, _ in decode.frames(video)]
    with open(tmp_path / "camera.y4m", "wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n")
        import cv2 as opencv

        for picture in pixels:
            file.write(b"FRAME\n" + opencv.cvtColor(picture, opencv.COLOR_RGB2YUV_I420).tobytes())
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"]  # fmt: skip
    own = browser.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, *fake])
    yield VideoPage(own.new_context(permissions=["camera"]), site)
    own.close()


@pytest.mark.parametrize("by", ["MediaStreamTrackProcessor", "a video element"])
def test_a_camera_gives_people_at_the_times_of_capture(camera_page, by):
    if by == "a video element":
        camera_page.page.evaluate("delete window.MediaStreamTrackProcessor")
    found = camera_page.run("""
        const { openCamera } = await page("video/video.js");
        const clock = [];
        const camera = await openCamera({ onPicture: (bitmap) => { clock.push(performance.now()); bitmap.close(); } });
        const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
        clock.push(performance.now());
        camera.start(stream);
        const wait = () => new Promise((resolve) => setTimeout(resolve, 100));
        const isEnough = () => clock.length > 9 && performance.now() - clock[1] > 2000;
        for (let turn = 0; turn < 600 && !isEnough(); turn += 1) await wait();
        const found = await camera.stop();
        stream.getTracks().forEach((track) => track.stop());
        return { times: Array.from(found.timesS), people: found.detections.map((people) => people.length),
                 picture: found.picture, clock };
    """)
    times, (began, *clock) = np.array(found["times"]), np.array(found["clock"]) / 1000
    assert found["picture"] == [320, 240]
    assert len(clock) == len(times) > 8
    assert times[0] == 0 and (np.diff(times) > 0).all()
    late = 0.5 + np.diff(clock).max()  # a slow machine shows a picture so long after its capture
    assert clock[-1] - clock[0] - late < times[-1] < clock[-1] - began  # of the clock, although frames were dropped
    assert np.mean(found["people"]) > 0.8
