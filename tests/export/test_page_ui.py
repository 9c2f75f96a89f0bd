"""The page as a visitor sees it, in a real browser with the real network: from a file to words, plot and list."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest

from helpers.browser import needs_browser
from helpers.visitor import Visitor, npy
from spasm.config.events import Accumulation
from spasm.core.windows import window_starts
from spasm.data.findings import clean
from spasm.data.pose import FPS, visible_mask
from spasm.data.seen import is_too_little, seen_frames
from spasm.inference.event_detection import Curve, Windows, by_accumulation, make_windows

pytestmark = needs_browser
DOCTOR = "A child with suspected spasms needs a doctor and an EEG, today."


@pytest.fixture(scope="module")
def info(site):
    return json.loads((site.folder / "model/model.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def recording(simulated):
    """Poses (F, 33, 5) of some segments of simulated children, with 4 s in the middle in which nothing is seen."""
    poses = np.concatenate([np.load(path) for path in sorted((simulated / "train").glob("*.npy"))[:12]])
    poses[300:420] = np.nan
    return poses.astype(np.float32)


@pytest.fixture(scope="module")
def expected(site, info, recording) -> Windows:
    """What Python predicts for the recording with the site's network."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(site.folder / "model/network.onnx", providers=["CPUExecutionProvider"])
    poses, length = clean(recording)[0], info["frames"]
    firsts = window_starts(len(poses), length, round(FPS))
    parts = np.stack([poses[first : first + length] for first in firsts])
    probability, _, _, attention = session.run(None, {"poses": parts})
    seen, posed = seen_frames(parts), visible_mask(parts).any(axis=2)
    counts = np.stack([posed.sum(axis=1), seen.sum(axis=1)], axis=1)
    probability = np.where(is_too_little(counts, length, info["abstain"]), np.nan, probability)
    curve, steps = Curve(length), []
    for number, first in enumerate(firsts):
        unknown = np.full(length, np.nan)  # the page does not measure movement
        steps.append(curve.add(first, float(probability[number]), attention[number], seen[number], unknown))
    steps.append(curve.finish())
    times = counts / FPS
    return make_windows(len(poses), length, round(FPS), probability, *times.T, np.concatenate(steps, axis=1))


@pytest.fixture
def visitor(browser, site):
    with Visitor(browser, site.url) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def result(browser, site, recording):
    """The page with the result for the recording; tests may play it, but must leave it there."""
    with Visitor(browser, site.url) as visitor:
        visitor.choose(npy(recording, "Anna's video.npy"))
        visitor.wait("result")
        yield visitor


# ---- the result


def test_the_saved_events_are_those_of_python(result, info, recording, expected):
    name, content = result.download("#save-csv")
    assert name == "Anna_s_video_events.csv"
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    rule = info["rule"]
    events = by_accumulation(
        expected, Accumulation(*(rule[key] for key in ("sum_windows", "sum_threshold", "sum_floor", "refractory_s")))
    )
    assert len(events) >= 3, "the recording must have events, or this test shows nothing"
    assert len(rows) == len(events)
    for row, event in zip(rows, events, strict=True):
        assert (row["recording"], row["simulated"]) == ("Anna's video.npy", "yes")
        times = float(row["onset_s"]), float(row["offset_s"])
        assert times == pytest.approx((event.onset_s, event.offset_s), abs=0.006)
        assert float(row["peak_probability"]) == pytest.approx(event.peak, abs=1e-3)
    assert result.page.locator("#event-list button").count() == len(events)


def test_the_words_say_what_was_seen_first_and_what_the_model_misses(result, info, recording, expected):
    words = result.page.locator("#words li").all_inner_texts()
    seen, whole = expected.total_seen_s, len(recording) / FPS
    in_words = [
        f"{value:.0f} s" if value >= 9.95 else f"{value:.1f}".removesuffix(".0") + " s"
        for value in (seen, whole, whole - seen)
    ]
    assert words[0] == "A person was seen in {} of {}. Nothing is known about the other {}.".format(*in_words)
    assert f"highest probability is {expected.highest[0]:.2f}, " in words[1] and f"{info['threshold']:.2f}" in words[1]
    assert (
        f"misses about {math.floor(100 * (1 - info['metrics']['sensitivity']['value']) + 0.5)} of 100 spasms"
        in words[2]
    )
    assert (
        f"about {info['false_alarms_per_hour']:,.0f} of its {3600 * FPS / info['frames']:,.0f} pieces" in words[3]
        and "simulated children" in words[3]
    )
    assert re.fullmatch(r"\d+ moments? reached the threshold", result.text("#headline"))


def test_without_any_moment_the_headline_names_the_time_that_was_seen(visitor, recording, info):
    visitor.page.route(
        "**/model.json",
        lambda route: route.fulfill(json=info | {"threshold": 1, "rule": info["rule"] | {"sum_threshold": 1.01}}),
    )
    visitor.page.reload()
    visitor.choose(npy(recording))
    visitor.wait("result")
    assert re.fullmatch(
        r"No moment reached the threshold in the \d+ s in which a person was seen", visitor.text("#headline")
    )
    assert re.search(r"No moment reached the threshold\. [\d.]+ s were not seen", visitor.text("#events"))
    visitor.page.focus("#save-csv")
    visitor.page.keyboard.press("Enter")
    assert "no moments to save" in visitor.text("#saving")


def test_where_too_little_was_seen_there_is_no_probability(visitor, recording, info):
    poses = np.full((300, 33, 5), np.nan, np.float32)
    poses[100:106] = recording[:6]
    visitor.choose(npy(poses, "few.npy"))
    visitor.wait("result")
    assert visitor.text("#headline") == "Too little was seen: there is no probability"
    assert visitor.page.locator("#words li").first.inner_text() == "A person was seen in 0.2 s of 10 s."
    assert "not a sign that there was no spasm" in visitor.text("#words")
    for place in ("#result", "#printout"):
        assert not re.search(r"robability:? \d", visitor.page.locator(place).text_content()), place
    assert not re.search(
        r"\d\.\d\d", visitor.text("#words") + visitor.text("#events") + visitor.page.text_content("#table tbody")
    )
    assert visitor.page.get_attribute("#plot", "aria-valuetext").endswith("not seen")


def test_a_click_in_the_plot_and_a_moment_in_the_list_move_the_player(result, expected):
    plot = result.page.locator("#plot canvas")
    plot.click(position={"x": 40 + (plot.bounding_box()["width"] - 50) / 2, "y": 60})
    assert result.time_s == pytest.approx(expected.duration_s / 2, abs=0.2)
    button = result.page.locator("#event-list button").nth(1)
    button.click()
    minutes, seconds = re.match(r"(\d+):([\d.]+):", button.inner_text()).groups()
    assert result.time_s == pytest.approx(60 * int(minutes) + float(seconds), abs=0.06)
    assert button.get_attribute("aria-current") == "true"


def test_arrow_keys_step_by_frame_and_second_and_space_plays(result):
    result.page.focus("#plot")
    result.page.keyboard.press("Home")
    assert result.time_s == 0
    for _ in range(3):
        result.page.keyboard.press("ArrowRight")
    result.page.keyboard.press("Shift+ArrowRight")
    assert "0:01.1 of" in result.text("#clock") and result.time_s == pytest.approx(33 / FPS, abs=0.06)
    result.page.keyboard.press(" ")
    result.until("document.querySelector('#clock').textContent > '0:01.4'")
    assert result.time_s == pytest.approx(33 / FPS, abs=0.06), "a screen reader would speak each picture"
    result.page.keyboard.press(" ")
    stopped = result.time_s
    assert stopped > 1.35
    result.page.wait_for_timeout(200)
    assert result.time_s == stopped
    result.page.keyboard.press("PageDown")
    assert result.page.locator("#event-list [aria-current]").count() == 1


def test_the_player_shows_the_pose_and_says_when_there_is_none(result):
    result.page.focus("#plot")
    result.page.keyboard.press("Home")
    picture = result.page.evaluate("document.querySelector('#skeleton').toDataURL()")
    assert re.fullmatch(
        r"Picture at 0:00.0: \d+ of 33 landmarks found", result.page.get_attribute("#skeleton", "aria-label")
    )
    for _ in range(11):
        result.page.keyboard.press("Shift+ArrowRight")
    assert result.page.evaluate("document.querySelector('#skeleton').toDataURL()") != picture
    assert result.page.get_attribute("#skeleton", "aria-label") == "Picture at 0:11.0: no pose in this picture"


def test_the_table_has_the_content_of_the_plot(result, expected):
    result.page.click("#table summary")
    rows = [row.inner_text().split("\t") for row in result.page.locator("#table tbody tr").all()]
    assert any(row[1] == "not seen" for row in rows)
    step = 10 * int(rows[0][0].rpartition(":")[2])
    for number, row in enumerate(rows):
        part = expected.curve[number * step : (number + 1) * step]
        highest = "not seen" if np.isnan(part).all() else f"{max(0.01, np.nanmax(part)):.2f}"
        assert row[1] == highest or float(row[1]) == pytest.approx(float(highest), abs=0.011), row
    assert (
        sum(len(row[3].split(", ")) for row in rows if len(row) > 3 and row[3])
        == result.page.locator("#event-list button").count()
    )


# ---- several people, and the picture


@pytest.fixture(scope="module")
def two_people(simulated):
    """A module in place of video.js that finds two people: a child at the left and a larger one at the right."""
    paths = [path for path in sorted((simulated / "train").glob("*.npy")) if visible_mask(np.load(path)).all()][:2]
    left, right = (np.concatenate([once, once[::-1]] * 3)[:300] for once in map(np.load, paths))  # without a jump
    for poses, (x, y, wide, tall) in ((left, (0.05, 0.5, 0.3, 0.45)), (right, (0.5, 0.05, 0.45, 0.7))):
        low, high = poses[..., :2].min(axis=(0, 1)), poses[..., :2].max(axis=(0, 1))
        poses[..., :2] = (x, y) + (poses[..., :2] - low) / (high - low) * (wide, tall)
    frames = [[pose.ravel().round(4).tolist() for pose in pair] for pair in zip(left, right, strict=True)]
    return f"""
const frames = {frames};
export async function openCamera({{ signal }}) {{
  const failed = new Promise(() => {{}}), file = {{ name: "" }};
  const stop = () => analyseVideo(file, {{ signal, onProgress() {{}} }});
  return {{ failed, stop, start(stream) {{ window.recorded = stream; }} }};
}}
export async function analyseVideo(file, {{ onProgress, signal }}) {{
  for (let done = 1; done <= 4; done++) {{
    onProgress({{ done, total: 4, secondsS: 10 * done / 4 }});
    await new Promise((resolve) => setTimeout(resolve, file.name.startsWith("slow") ? 250 : 1));
    signal.throwIfAborted();
  }}
  const detections = frames.map((people) => people.map((one) => Float32Array.from(one)));
  const startS = file.name.startsWith("late") ? 2.5 : 0, stepS = file.name.startsWith("few") ? 0.125 : 1 / 30;
  return {{ timesS: Float64Array.from(frames, (_, k) => startS + k * stepS), detections,
    picture: [1280, 720], isStill: file.name.startsWith("still"), endsEarly: file.name.startsWith("cut") }};
}}"""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video that the browser plays: 6 s of a chequerboard with squares of 4 pixels."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("video") / "two.webm"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), 10, (1280, 720))
    squares = sum(np.indices((720, 1280)) // 4) % 2
    picture = np.repeat((200 * squares + 20).astype(np.uint8)[..., None], 3, axis=2)
    for _ in range(60):
        writer.write(picture)
    writer.release()
    return path


def _video(browser, site, two_people):
    return Visitor(browser, site.url, {"video/video.js": two_people})


def test_a_tap_on_another_person_changes_the_prediction_and_back(browser, site, two_people, video):
    with _video(browser, site, two_people) as visitor:
        visitor.choose(video)
        visitor.wait("result")
        buttons = visitor.page.locator("#person-buttons button")
        assert buttons.count() == 2 and "2 people stay in the picture" in visitor.text("#people")
        assert buttons.nth(0).get_attribute("aria-pressed") == "true"
        first = visitor.text("#words"), visitor.page.inner_text("#printout")
        picture = visitor.page.locator("#skeleton")
        box = picture.bounding_box()
        picture.click(position={"x": 0.72 * box["width"], "y": 0.4 * box["height"]})
        visitor.page.wait_for_selector("#person-buttons button:nth-child(2)[aria-pressed=true]")
        visitor.until("document.querySelector('#people-status').textContent === 'Person 2 is the child now'")
        assert visitor.text("#words") != first[0]
        buttons.nth(0).focus()
        visitor.page.keyboard.press("Enter")
        visitor.until("document.querySelector('#people-status').textContent === 'Person 1 is the child now'")
        assert visitor.text("#words") == first[0]
        assert visitor.messages == []


def test_a_saved_picture_has_every_head_pixelated_and_the_training_named(browser, site, two_people, video):
    cv2 = pytest.importorskip("cv2")
    with _video(browser, site, two_people) as visitor:
        visitor.choose(video)
        visitor.wait("result")
        visitor.until("document.querySelector('#video').readyState === 4")
        name, content = visitor.download("#save-still")
        assert re.fullmatch(r"two_\d+\.png", name)
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (720, 1280, 3)
        heads = visitor.page.evaluate(HEADS)
        assert len(heads) == 2
        across, down = np.meshgrid(np.arange(1280), np.arange(720))
        far = np.abs(picture.astype(float).mean(axis=2) - 120)  # black and white are far from the grey of their mean
        for x, y, radius in heads:
            ring = np.abs(np.hypot(across - x, down - y) - 0.6 * radius) < 0.2 * radius  # between nose and outline
            assert np.median(far[ring]) < 40, (x, y)
        assert np.median(far[20:60, 600:700]) > 60, "the rest is as it was"
        red = picture[-8, 5]
        assert red[2] > 150 and max(red[:2]) < 60


HEADS = """async () => {
  const { analyseVideo } = await import(new URL("video/video.js", document.baseURI).href);
  const { headCircle } = await import(new URL("ui/skeleton.js", document.baseURI).href);
  const options = { onProgress() {}, signal: new AbortController().signal };
  const { detections } = await analyseVideo({ name: "" }, options);
  const frame = Math.round(document.querySelector("#video").currentTime * 30);
  return detections[frame].map((pose) => headCircle((i) => [pose[5 * i] * 1280, pose[5 * i + 1] * 720]));
}"""


def test_a_photograph_has_no_probability_and_a_cut_video_is_named(browser, site, two_people, video):
    with _video(browser, site, two_people) as visitor:
        visitor.choose({"name": "still.webm", "mimeType": "video/webm", "buffer": video.read_bytes()})
        visitor.wait("result")
        assert "Too little was seen" in visitor.text(
            "#headline"
        ) and "without movement nothing can be predicted" in visitor.text("#words")
        assert visitor.page.locator("#event-list button").count() == 0
        visitor.choose({"name": "cut.webm", "mimeType": "video/webm", "buffer": b"not a video"})
        visitor.wait("working")
        visitor.wait("result")
        assert "ends earlier than it says" in visitor.text("#notes")
        visitor.page.wait_for_selector("#no-video:not([hidden])")
        assert visitor.page.locator("#show-label").is_hidden()


def test_no_picture_is_shown_or_saved_beside_the_poses_of_another_time(browser, site, two_people, video):
    with _video(browser, site, two_people) as visitor:
        visitor.choose(video)  # the browser plays 6 s of it; its poses are 10 s long
        visitor.wait("result")
        visitor.until("document.querySelector('#video').readyState >= 2 && !document.querySelector('#video').seeking")
        assert visitor.page.locator("#no-video").is_hidden()
        visitor.page.evaluate("""() => {
            document.querySelector("#plot").dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true }));
            document.querySelector("#save-still").click();
        }""")
        visitor.page.wait_for_selector("#no-video:not([hidden])")
        visitor.until("document.querySelector('#saving').textContent !== ''")
        assert visitor.text("#saving").startswith("The picture was not saved: the video cannot be shown here.")


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("late.webm", "The first picture that could be read is at 0:02.5 of the video."),
        ("few.webm", "The video has 8 pictures a second: too few to see a spasm."),
        ("cut.webm", "The video ends earlier than it says"),
    ],
)
def test_what_makes_a_video_unfit_is_named_on_the_page_and_the_printout(
    browser, site, two_people, video, name, note
):  # fmt: skip
    with _video(browser, site, two_people) as visitor:
        visitor.choose({"name": name, "mimeType": "video/webm", "buffer": video.read_bytes()})
        visitor.until(
            "document.querySelector('#headline').textContent !== '' && !document.querySelector('#result').hidden"
        )
        printout = visitor.page.text_content("#printout")
        assert note in visitor.text("#notes") and note in printout
        assert "For person 1 of 2 who stay in the picture." in printout


def test_nothing_of_another_person_is_saved_or_printed_while_the_prediction_runs(browser, site, two_people, video):
    with _video(browser, site, two_people) as visitor:
        visitor.choose(video)
        visitor.wait("result")
        during = visitor.page.evaluate("""() => {
            document.querySelectorAll("#person-buttons button")[1].click();
            return [document.querySelector("#save").inert, document.querySelector("#printout").textContent];
        }""")
        assert during == [True, "Predicting for person 2: 0%"]
        visitor.until("!document.querySelector('#save').inert")
        assert "For person 2 of 2" in visitor.page.text_content("#printout")


def test_after_another_choice_nothing_of_the_last_recording_is_left_in_the_page(browser, site, two_people, video):
    with _video(browser, site, two_people) as visitor:
        visitor.choose(video)
        visitor.wait("result")
        assert "two.webm" not in visitor.page.title(), "a browser keeps titles in its history"
        visitor.page.evaluate("window.kept = document.querySelector('#video').src")
        visitor.choose({"name": "other.txt", "mimeType": "", "buffer": b""})
        visitor.wait("problem")
        left = visitor.page.evaluate("""async () => [
            [...document.querySelectorAll("canvas")].filter((one) => one.width).length,
            document.querySelector("#printout").textContent, document.body.textContent.includes("two.webm"),
            document.querySelector("#video").src,
            await new Promise((resolve) => {
                const video = Object.assign(document.createElement("video"), { src: window.kept });
                video.onerror = () => resolve("revoked");
                video.onloadeddata = () => resolve("kept");
            })]""")
        assert left == [0, "", False, "", "revoked"]


SLOW_CAMERA = """() => {
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  navigator.mediaDevices.getUserMedia = () => new Promise((resolve) => {
    window.allow = () => { window.given = canvas.captureStream(); resolve(window.given); };
  });
}"""


def test_a_camera_that_is_allowed_after_the_visitor_went_on_is_turned_off(browser, site, two_people, video):
    with _video(browser, site, two_people) as visitor:
        visitor.choose(video)
        visitor.wait("result")
        visitor.page.evaluate(SLOW_CAMERA)
        visitor.page.click("#result [data-act=camera]")
        visitor.page.click("[data-act=allow]")
        visitor.until("Boolean(window.allow)")
        visitor.page.click("[data-act=cancel]")
        visitor.wait("start")  # at once, although the browser still asks
        visitor.page.evaluate("window.allow()")
        visitor.until("window.given.getTracks()[0].readyState === 'ended'")
        assert visitor.messages == []


def test_a_camera_that_is_unplugged_gives_the_result_so_far(browser, site, two_people):
    with _video(browser, site, two_people) as visitor:
        visitor.page.evaluate(CANVAS_AS_CAMERA)
        visitor.page.click("#start [data-act=camera]")
        visitor.page.click("[data-act=allow]")
        visitor.page.wait_for_selector("#stop:not([hidden])")
        visitor.page.evaluate("window.recorded.getTracks()[0].dispatchEvent(new Event('ended'))")
        visitor.wait("result")
        assert "The camera stopped by itself" in visitor.text("#notes")


def test_the_camera_records_after_consent_and_is_off_with_the_result(browser, site, two_people):
    with _video(browser, site, two_people) as visitor:
        visitor.page.evaluate(CANVAS_AS_CAMERA)
        visitor.page.click("#start [data-act=camera]")
        visitor.page.click("[data-act=allow]")
        visitor.page.wait_for_selector("#stop:not([hidden])")
        assert visitor.page.evaluate("window.recorded.getTracks()[0].readyState") == "live"
        assert visitor.page.evaluate("document.activeElement.id") == "stop"
        visitor.page.keyboard.press("Enter")
        visitor.wait("result")
        assert visitor.page.evaluate("window.recorded.getTracks()[0].readyState") == "ended"
        assert visitor.text("#result-heading") == "Result for camera"
        assert visitor.page.locator("#save-still").is_hidden(), "no picture was kept"
        visitor.page.click("#result [data-act=camera]")
        visitor.page.click("[data-act=allow]")
        visitor.page.wait_for_selector("#stop:not([hidden])")
        visitor.page.click("[data-act=cancel]")
        visitor.wait("start")
        assert visitor.page.evaluate("window.recorded.getTracks()[0].readyState") == "ended"
        assert visitor.messages == []


CANVAS_AS_CAMERA = """() => {
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream();
}"""


def test_cancel_ends_the_work_and_another_file_can_be_chosen_at_once(browser, site, two_people, video, recording):
    with _video(browser, site, two_people) as visitor:
        slow = {"name": "slow.webm", "mimeType": "video/webm", "buffer": video.read_bytes()}
        visitor.choose(slow)
        visitor.page.wait_for_selector("#progress[value]")
        assert DOCTOR in visitor.text("#always") and "SIMULATED" in visitor.text("#always")
        visitor.page.click("[data-act=cancel]")
        visitor.wait("start")
        assert visitor.text("#cancelled").startswith("Cancelled.")
        visitor.choose(slow)
        visitor.page.wait_for_selector("#progress[value]")
        visitor.choose(npy(recording, "other.npy"))  # while the first one is still analysed
        visitor.wait("result")
        visitor.page.wait_for_timeout(400)
        assert visitor.text("#result-heading") == "Result for other.npy"
        assert visitor.messages == []
