"""The page predicts in a real browser, under its policy, what the library predicts with the same network."""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import spasm
from helpers.browser import needs_browser
from helpers.page import PageModules, Problem, served
from helpers.site import Site
from spasm.config.events import Accumulation
from spasm.data.findings import clean
from spasm.data.pose import FPS, visible_mask
from spasm.data.recordings import windows
from spasm.data.seen import seen_frames
from spasm.export import onnx_file
from spasm.inference.ensemble_predictor import BatchPrediction
from spasm.inference.event_detection import Windows, by_accumulation
from spasm.inference.sliding_window import predict_recording
from spasm.inference.trained_run import Prediction
from spasm.runs.artefacts import Decision, read_decision
from spasm.simulation.infant import SimulationConfig
from spasm.simulation.recordings import simulate_recording

pytestmark = needs_browser
LENGTH, STRIDE = 60, 30
ORT_URL = "vendor/onnxruntime-web/ort.wasm.min.mjs"
URLS = f"{{modelUrl: 'model/network.onnx', infoUrl: 'model/model.json', ortUrl: '{ORT_URL}'}}"
OPEN = f"""async (load, change) => {{
  const {{openPredictor}} = await load('core/prediction.js');
  await openPredictor({{...{URLS}, ...change}});
}}"""
RECORDING = f"""async (load, poses, frames, strideS) => {{
  const {{openPredictor}} = await load('core/prediction.js'), predictor = await openPredictor({URLS});
  const done = [], onProgress = (progress) => done.push(progress);
  const found = await predictor.predictRecording(poses, frames, {{strideS, onProgress}});
  predictor.close();
  return {{...found, done}};
}}"""


class Network(NamedTuple):
    """An exported network, its run, and its address in the browser."""

    run: Path
    about: dict[str, Any]
    file: Path
    page: PageModules


@pytest.fixture(scope="module")
def network(browser: Any, trained: Path, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The network of the page that the real command wrote, in a copy of its folder that tests may change."""
    model = Path(shutil.copytree(site.folder / "model", tmp_path_factory.mktemp("network") / "model"))
    about = json.loads((model / "model.json").read_text())
    with served(vendor=site.folder / "vendor", model=model) as address:
        page = PageModules(browser, address)
        yield Network(trained, about, model / "network.onnx", page)
        # The policy refused nothing; the browser notes the files that a test looks for in vain.
        assert [message for message in page.messages if "404" not in message] == []
        assert all(url.startswith((address, f"blob:{address}")) for url in page.requests)  # a worker starts from a blob


@pytest.fixture(scope="module")
def recordings() -> dict[str, np.ndarray]:
    """A minute of a simulated child, who is not seen for 12 s and hardly seen for 6 s, and parts of it: one is shorter
    than a window, and of one too little was seen."""
    poses = np.concatenate([scene for scene, _ in simulate_recording(3, 1, 1, 1.0, SimulationConfig(frames=LENGTH))])
    poses = clean(poses.astype(np.float32))[0][:1790]  # no multiple of the stride, or of a step of the curve
    poses[500:860] = np.nan
    poses[1200:1380][np.arange(180) % 12 > 0] = np.nan
    return {"minute": poses, "short": poses[100:141], "unseen": poses[480:830]}


class Predicted:
    """Predictions of the library for windows, made before, in the place of an `EnsemblePredictor`."""

    def __init__(self, decision: Decision, prediction: Prediction) -> None:
        self.decision, self.prediction, self.done = decision, prediction, 0

    def predict(self, batches: Iterable[tuple[Any, np.ndarray]]) -> Iterator[BatchPrediction]:
        for key, poses, *_ in batches:
            self.done += len(poses)
            attention = self.prediction.attention[self.done - len(poses) : self.done]
            yield BatchPrediction(key, visible_mask(poses).any(axis=2), seen_frames(poses), {}, attention)

    def probability(self, _: Any, names: Sequence[str], *args: Any, **options: Any) -> np.ndarray:
        return self.prediction.probability[self.done - len(names) : self.done]


@pytest.fixture(scope="module")
def by_library(network: Network, recordings: dict[str, np.ndarray], tmp_path_factory: Any) -> dict[str, Any]:
    """The library's windows of each recording, and its probabilities of segments, by the network alone in 32 bits."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = {name: folder / f"{name}.npy" for name in recordings}
    for name, path in paths.items():
        np.save(path, recordings[name])
    parts = [part for path in paths.values() for _, part in windows(path, LENGTH, STRIDE)]
    poses = np.concatenate(
        [*parts, onnx_file.checked_poses(LENGTH)]
    )  # at once: a process that loads torch takes seconds
    prediction = spasm.load(network.run).predict(poses, models=["stgcn_mil"], precision="float32")
    predicted = Predicted(read_decision(network.run), prediction)
    found: dict[str, Any] = {}
    for name, path in paths.items():
        rest: Any = (len(recordings[name]), STRIDE, predicted, network.about["abstain"], lambda _: None)
        found[name] = predict_recording(path, *rest)
    return found | {"segments": prediction.probability[predicted.done :]}


def check_recording(network: Network, poses: np.ndarray, ours: Windows) -> dict[str, Any]:
    """The prediction of the page for a recording, once it is that of the library."""
    found = network.page.run(RECORDING, poses, len(poses), STRIDE / FPS)
    windows = found["windows"]
    np.testing.assert_array_equal(windows["endsS"], ours.ends_s)
    np.testing.assert_array_equal(windows["poseS"], ours.pose_s)
    np.testing.assert_array_equal(windows["seenS"], ours.seen_s)
    np.testing.assert_allclose(windows["probability"], ours.probabilities, atol=1e-4)  # NaN at the same places
    np.testing.assert_allclose(found["curve"], ours.curve, atol=1e-4)
    np.testing.assert_array_equal(found["seen"], seen_frames(poses))
    assert found["durationS"] == ours.duration_s and found["frames"] == len(poses)
    assert found["seenS"] == pytest.approx(ours.total_seen_s)
    assert found["done"][-1] == {"done": len(ours.ends_s), "total": len(ours.ends_s)}
    return found


# ---- recordings


def test_a_recording_has_the_probabilities_that_the_library_gives_it(network, recordings, by_library):
    ours = by_library["minute"]
    found = check_recording(network, recordings["minute"], ours)
    assert 10 < np.isnan(ours.probabilities).sum() < 40 and not found["tooLittle"]
    assert found["highest"]["probability"] == pytest.approx(np.nanmax(ours.probabilities), abs=1e-4)
    assert found["highest"]["timeS"] == ours.highest[1]


def test_a_recording_has_the_events_that_the_library_gives_it(network, recordings, by_library):
    ours = by_library["minute"]
    known = np.sort(ours.probabilities[~np.isnan(ours.probabilities)])
    gap = np.argmax(np.diff(known[len(known) // 3 :])) + len(known) // 3  # a threshold that no window is near
    rule = Accumulation(sum_threshold=float(known[gap : gap + 2].mean()))
    (network.file.parent / "rule.json").write_text(json.dumps(network.about | {"rule": dataclasses.asdict(rule)}))
    poses = recordings["minute"]
    found = network.page.run(RECORDING.replace("model.json", "rule.json"), poses, len(poses), STRIDE / FPS)["events"]
    events = by_accumulation(ours._replace(movement=np.full_like(ours.movement, np.nan)), rule)
    assert len(events) > 1
    assert [(event["onsetS"], event["offsetS"]) for event in found] == [tuple(event[:2]) for event in events]
    # With the movement, which the page does not know, an event begins elsewhere, by a second at most.
    for event, moving in zip(found, by_accumulation(ours, rule), strict=True):
        assert abs(event["onsetS"] - moving.onset_s) < 1.05


def test_attention_is_the_mean_over_the_windows_that_have_a_probability(network, recordings, by_library):
    poses, ours = recordings["minute"], by_library["minute"]
    found = network.page.run(RECORDING, poses, len(poses), STRIDE / FPS)
    firsts = (np.round(ours.ends_s * FPS).astype(int) - LENGTH)[~np.isnan(ours.probabilities)]
    windows = np.stack([poses[first : first + LENGTH] for first in firsts])
    sums, counts = np.zeros(len(poses)), np.zeros(len(poses))
    for first, weights in zip(firsts, onnx_file.run_onnx(network.file, windows).attention, strict=True):
        sums[first : first + LENGTH] += weights
        counts[first : first + LENGTH] += 1
    np.testing.assert_allclose(found["attention"], sums / np.maximum(counts, 1), atol=1e-5)
    assert found["attention"].max() > 0.01


def test_a_recording_that_is_shorter_than_a_window_ends_in_missing_frames(network, recordings, by_library):
    found = check_recording(network, recordings["short"], by_library["short"])
    assert len(found["windows"]["probability"]) == 1 and not found["tooLittle"]


def test_too_little_seen_is_reported_as_such_and_never_as_no_event(network, recordings, by_library):
    found = check_recording(network, recordings["unseen"], by_library["unseen"])
    assert found["tooLittle"] and np.isnan(found["curve"]).all() and np.isnan(found["highest"]["probability"])
    assert found["events"] == [] and found["seenS"] == 0


SPIED = f"""async (load, poses, frames, tiles) => {{
  const sent = [], post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, transfer) {{
    const {{kind, count, poses}} = message;
    if (kind === "predict") sent.push([count, poses.length, transfer[0] === poses.buffer]);
    return post.call(this, message, transfer);
  }};
  try {{
    const {{openPredictor}} = await load('core/prediction.js'), predictor = await openPredictor({URLS});
    const long = new Float32Array(poses.length * tiles);
    for (let tile = 0; tile < tiles; tile++) long.set(poses, tile * poses.length);
    const {{windows}} = await predictor.predictRecording(long, frames * tiles);
    predictor.close();
    return {{sent, poseS: windows.poseS, kept: long.length}};
  }} finally {{ Worker.prototype.postMessage = post; }}
}}"""


def test_ten_minutes_reach_the_network_in_small_messages_without_windows_that_have_no_pose(network, recordings):
    poses = recordings["minute"]
    found = network.page.run(SPIED, poses, len(poses), 10)
    counts = [count for count, _, _ in found["sent"]]
    assert max(counts) == 8 and sum(counts) == (found["poseS"] > 0).sum() < len(found["poseS"])
    assert all(length == count * LENGTH * 33 * 5 and moved for count, length, moved in found["sent"])
    assert found["kept"] == 10 * poses.size  # the poses stay in the page


def test_a_prediction_can_be_cancelled_and_another_one_made_afterwards(network, recordings):
    poses = recordings["minute"]
    found = network.page.run(
        f"""async (load, poses, frames) => {{
          const {{openPredictor}} = await load('core/prediction.js'), predictor = await openPredictor({URLS});
          const controller = new AbortController(), done = [], codes = [];
          const onProgress = (progress) => {{ done.push(progress.done); controller.abort(); }};
          for (const signal of [controller.signal, AbortSignal.abort(), AbortSignal.timeout(1)]) {{
            const options = {{onProgress, signal}};
            await predictor.predictRecording(poses, frames, options).catch((error) => codes.push(error.code));
          }}
          const after = await predictor.predictRecording(poses.subarray(0, 300 * 165), 300);
          const pending = predictor.predictRecording(poses, frames).catch((error) => error.code);
          predictor.close();
          const later = predictor.predictRecording(poses, frames).catch((error) => error.code);
          return {{codes, done, after: after.windows.probability.length, closed: [await pending, await later]}};
        }}""",
        poses, len(poses),
    )  # fmt: skip
    assert found["codes"] == ["cancelled"] * 3
    assert len(found["done"]) <= 2 and found["done"][0] == 8
    assert found["after"] == 9
    assert found["closed"] == ["cancelled"] * 2


# ---- segments


def test_segments_have_the_outputs_of_the_file_and_the_probability_of_the_run(network, by_library):
    poses = onnx_file.checked_poses(LENGTH)
    found = network.page.run(
        f"""async (load, poses, count) => {{
          const {{openPredictor}} = await load('core/prediction.js'), predictor = await openPredictor({URLS});
          return {{...await predictor.predictSegments(poses, count), frames: predictor.info.frames}};
        }}""",
        poses, len(poses),
    )  # fmt: skip
    ours = onnx_file.run_onnx(network.file, poses)
    for name, output in (("probability", 0), ("logit", 1), ("frameProbability", 2), ("attention", 3)):
        np.testing.assert_allclose(found[name], ours[output].ravel(), atol=1e-4, err_msg=name)
    np.testing.assert_allclose(found["probability"], by_library["segments"], atol=1e-4)
    assert found["frames"] == LENGTH and np.isnan(poses[-1]).all()


# ---- what can be wrong


def test_a_folder_that_is_not_whole_is_a_problem_with_its_file(network):
    model, about = network.file.parent, network.about
    (model / "broken.onnx").write_bytes(network.file.read_bytes()[:5000])
    (model / "other.json").write_text(json.dumps(about | {"schema": 2}))
    (model / "less.json").write_text(json.dumps({name: about[name] for name in about if name != "abstain"}))
    (model / "text.json").write_text("<!doctype html>")
    (model / "ruled.json").write_text(json.dumps(about | {"rule": about["rule"] | {"refractory_s": "5"}}))
    cases = [
        ({"modelUrl": "model/gone.onnx"}, "modelMissing", "gone.onnx"),
        ({"infoUrl": "model/gone.json"}, "modelMissing", "gone.json"),
        ({"infoUrl": "model/other.json"}, "modelSchema", "2"),
        ({"infoUrl": "model/text.json"}, "modelSchema", "text.json"),
        ({"infoUrl": "model/less.json"}, "modelInfo", "abstain"),
        ({"infoUrl": "model/ruled.json"}, "modelInfo", "refractory_s"),
        ({"modelUrl": "model/broken.onnx"}, "networkStart", ""),
        ({"ortUrl": "vendor/gone.mjs"}, "networkStart", ""),
    ]
    for change, code, word in cases:
        with pytest.raises(Problem) as problem:
            network.page.run(OPEN, change)
        assert problem.value.code == code and word in json.dumps(problem.value.values)


def test_poses_of_another_length_are_refused(network):
    for call in (
        "predictSegments(new Float32Array(100), 1)",
        "predictRecording(new Float32Array(100), 3)",
        "predictRecording(new Float32Array(0), 0)",
    ):
        with pytest.raises(Problem) as problem:
            network.page.run(f"async (load) => (await (await load('core/prediction.js')).openPredictor({URLS})).{call}")
        assert problem.value.code in ("segmentLength", "posesShape")
