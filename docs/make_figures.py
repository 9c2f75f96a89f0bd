"""Make the pictures of README.md and docs/ from a trained run on simulated data, and from stored results.

Writes docs/images/: player.gif (a found spasm), report.png, review.png and browser.png (the run's report, the review of
a recording and the page for browsers, which need Chromium), timeline.png (a simulated recording), and from
docs/results/ forest.png (F1 on Kinder-Gator) and scale.png (what a segment costs). The page for browsers is that of
--web, which `make web` writes.

Example: python docs/make_figures.py --run output/demo
"""

import contextlib
import csv
import functools
import http.server
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from matplotlib.figure import Figure
from PIL import Image

from benchmarks import scale
from spasm.cli import app
from spasm.config.fields import from_tree, settings
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError
from spasm.data.pose import FPS, visible_mask
from spasm.ensemble.calibration import probability
from spasm.models.registry import MODELS
from spasm.report import comparison
from spasm.report.body_drawing import draw_body, frame_axes
from spasm.report.build import load_data
from spasm.report.predictions import SegmentPredictions, read_out_of_fold_predictions
from spasm.runs.artefacts import read_decision, read_manifest, read_metrics
from spasm.runs.folder import ModelFolder, reopen_run

TABLES = ("kinder_gator.csv", "kinder_gator_published.csv")  # of compare.py, the second rounded
NETWORK = "stgcn_mil"  # whose attention the animation shows
SEED = 101  # of the simulated recordings: not that of the demo, so that the run does not know the children
SHOWN = slice(0, 1800)  # frames of a recording on the page for browsers: a minute
REVIEWED = 0.6  # threshold of the events in the picture of a review: the demo's run is sure of few
EVERY = 2  # frames of the pose for each frame of the animation
COLOURS = 64  # of the animation, which is what keeps it small


@settings
class MakeFigures:
    """Flags of make_figures.py."""

    run: Path = Path("output/demo")
    """Trained run on simulated data, with a network."""
    data: Path | None = None
    """Folder of its training data, if it has moved."""
    cache: Path = Path("output/demo/cache")
    """Folder of the checked poses."""
    web: Path = Path("output/web")
    """Page for browsers, written from the run."""
    results: Path = ROOT / "docs/results"
    """Folder of compare.py's tables for Kinder-Gator, and of scale.json."""
    out: Path = ROOT / "docs/images"
    """Folder to write."""


def main(settings: MakeFigures) -> int:
    settings.out.mkdir(parents=True, exist_ok=True)
    rows = [row for name in TABLES for row in read_results(settings.results / name)]
    rows.sort(key=lambda row: -float(row["f1"]))
    (settings.out / "forest.png").write_bytes(
        comparison.plot([comparison.Panel("Kinder-Gator", rows, simulated=False)])
    )
    measured = json.loads((settings.results / "scale.json").read_text(encoding="utf-8"))
    (settings.out / "scale.png").write_bytes(scale.plot(measured["rows"]))
    with tempfile.TemporaryDirectory() as folder:
        of_recording = timeline(settings.run, Path(folder))
        (settings.out / "timeline.png").write_bytes((of_recording / "timeline.png").read_bytes())
        shot = screenshot_review(of_recording / "review.html", settings.out / "review.png")
        shot = shot and screenshot_web(
            settings.web, Path(folder) / "infants/recordings/child_2_1.npy", settings.out / "browser.png"
        )
    (settings.out / "player.gif").write_bytes(animation(settings))
    shot = shot and screenshot(settings.run / "report.html", settings.out / "report.png")
    of_browser = ["report.png", "review.png", "browser.png"] if shot else []
    print(
        f"written: {settings.out}/{', '.join(['forest.png', 'scale.png', 'timeline.png', 'player.gif', *of_browser])}"
    )
    if not shot:
        needs = "they need Chromium and requirements-dev.txt, and browser.png what `make web` writes"
        print(f"report.png, review.png and browser.png were not all made: {needs}", file=sys.stderr)
    return 0


def read_results(path: Path) -> list[comparison.Row]:
    """The rows of a table.csv of compare.py, numbers as numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: _number(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def _number(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None


def timeline(run: Path, folder: Path) -> Path:
    """The folder that timeline.py writes for a simulated recording of a child whom the run does not know."""
    infants, out = folder / "infants", folder / "timeline"
    simulate = ["--out", infants, "--recordings", 2, "--minutes", 5, "--seed", SEED]
    predict = [infants / "recordings/child_2_1.npy", "--run", run, "--out", out]
    events = ["--events", infants / "events.csv", "--no-tune-rule"]
    review = ["--review", "--sum-threshold", REVIEWED]
    # The plot comes last: it shows the default threshold.
    for script, words in (
        ("simulate.py", simulate), ("timeline.py", predict + review), ("timeline.py", predict + events),
    ):  # fmt: skip
        subprocess.run([sys.executable, ROOT / "src" / script, *map(str, words)], check=True, stdout=sys.stderr)
    return out / "child_2_1"


def animation(settings: MakeFigures) -> bytes:
    """A GIF of the found spasm on which the network's attention lies best: pose, attention, probability by frame."""
    data = load_data(settings.run, settings.data, settings.cache)
    if not data.simulated:
        raise DataError(
            settings.run, "was trained on real data", "the pictures of the documents show simulated infants only"
        )
    decision = read_decision(settings.run)
    run = reopen_run(settings.run, data)
    predictions = read_out_of_fold_predictions(run, decision, read_metrics(settings.run, decision))
    rows = candidates(predictions)
    attention, frame_logits = attention_of(settings.run, predictions, rows)
    inside = [attention[k, slice(*event_of(predictions, row))].sum() for k, row in enumerate(rows)]
    best = int(np.argmax(inside))
    row = rows[best]
    title = f"SIMULATED infant: spasm found, probability {predictions.probability[row]:.2f}"
    frames = [
        paint(
            np.array(predictions.poses[row]), attention[best], frame_logits[best], event_of(predictions, row), t, title
        )
        for t in range(0, predictions.poses.shape[1], EVERY)
    ]
    palette = frames[0].quantize(COLOURS)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    with io.BytesIO() as content:
        duration = round(1000 * EVERY / FPS)
        frames[0].save(
            content, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, optimize=True
        )
        return content.getvalue()


def candidates(predictions: SegmentPredictions) -> np.ndarray:
    """Rows of found spasms that lie whole inside their segment and are visible in nearly every frame."""
    assert predictions.labels is not None
    rows = []
    for row in np.flatnonzero((predictions.labels == 1) & predictions.positive):
        start, end = event_of(predictions, row)
        visible = visible_mask(np.array(predictions.poses[row])).any(axis=1).mean()
        if start > 15 and end < predictions.poses.shape[1] - 15 and visible > 0.95:
            rows.append(row)
    if not rows:
        raise DataError(
            Path("the run"), "has no found spasm that is visible from start to end", "simulate more children"
        )
    return np.array(rows)


def event_of(predictions: SegmentPredictions, row: int) -> tuple[int, int]:
    """First frame of a segment's true event, and the frame after its last; (0, 0) where there is none."""
    start, end, _ = predictions.events.get(predictions.names[row], [(0, 0, "")])[0]
    return int(start), int(end)


def attention_of(run: Path, predictions: SegmentPredictions, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Attention and frame logits (N, T) of the network, each segment by the fold that never saw its child."""
    model, folder = MODELS[NETWORK], ModelFolder(run / NETWORK)
    config = from_tree(model.config, read_manifest(folder.manifest).settings)
    assert predictions.fold_of is not None
    attention = np.zeros((len(rows), predictions.poses.shape[1]))
    logits = np.zeros_like(attention)
    for fold in np.unique(predictions.fold_of[rows]):
        of_fold = np.flatnonzero(predictions.fold_of[rows] == fold)
        explained = model.load([folder.weights(0, int(fold))], config, Hardware()).explain(
            predictions.poses, rows[of_fold]
        )
        assert explained.attention is not None and explained.frame_logits is not None
        attention[of_fold], logits[of_fold] = explained.attention, explained.frame_logits
    return attention, logits


def paint(
    pose: np.ndarray, attention: np.ndarray, logits: np.ndarray, event: tuple[int, int], frame: int, title: str
) -> Image.Image:
    """One frame of the animation."""
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    body, weights, curve = figure.subplots(3, 1, height_ratios=(7, 1, 1))
    size = frame_axes(body, pose)
    draw_body(body, pose[frame], size)
    time_s = np.arange(len(pose)) / FPS
    weights.fill_between(time_s, attention / attention.max(), color="#b6529b", alpha=0.85, linewidth=0)
    curve.plot(time_s, probability(logits), color="#30506f", linewidth=2)
    for axes, label in ((weights, "attention"), (curve, "probability\nby frame")):
        axes.axvspan(event[0] / FPS, event[1] / FPS, color="#3f9b5f", alpha=0.25, linewidth=0)
        axes.axvline(frame / FPS, color="#202020", linewidth=1.5)
        axes.set(xlim=(0, len(pose) / FPS), ylim=(0, 1.05), yticks=[0, 1])
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    weights.set_xticklabels([])
    weights.text(sum(event) / 2 / FPS, 1.12, "true spasm", color="#2b7344", ha="center", fontsize=11)
    curve.set_xlabel("seconds", fontsize=11)
    figure.suptitle(title, fontsize=12)
    with io.BytesIO() as content:
        figure.savefig(content, format="png", dpi=100)
        return Image.open(content).convert("RGB")


@contextlib.contextmanager
def browser_page(width: int, height: int) -> Iterator[Any]:
    """A page of Chromium, or None where there is no browser."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None or importlib.util.find_spec("playwright") is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        yield chromium.new_page(viewport={"width": width, "height": height})
        chromium.close()


def screenshot(page: Path, out: Path) -> bool:
    """A picture of the top of a report and its player; gives whether a browser is there."""
    with browser_page(1200, 1000) as view:
        if view is None:
            return False
        view.goto(page.resolve().as_uri())
        view.wait_for_timeout(1500)  # the player's first frames
        top = view.screenshot()
        view.add_style_tag(content="nav { position: static !important }")  # else it lies over the player
        parts = [top, view.locator("#player").screenshot()]
    pictures = [Image.open(io.BytesIO(part)).convert("RGB") for part in parts]
    both = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)), "white")
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], ((both.width - pictures[1].width) // 2, pictures[0].height))
    both.quantize(128).save(out, optimize=True)
    return True


def screenshot_review(page: Path, out: Path) -> bool:
    """A picture of a review that has begun; gives whether a browser is there."""
    with browser_page(1200, 900) as view:
        if view is None:
            return False
        view.goto(page.resolve().as_uri())
        for key in ("a", "1", "a"):
            view.keyboard.press(key)
            view.wait_for_timeout(300)
        view.wait_for_timeout(2500)  # the event that is played now
        content = view.screenshot()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(128).save(out, optimize=True)
    return True


def screenshot_web(page: Path, recording: Path, out: Path) -> bool:
    """A picture of the page for browsers with the result of a recording; gives whether page and browser are there."""
    if not (page / "index.html").is_file():
        return False
    minute = io.BytesIO()
    np.save(minute, np.load(recording)[SHOWN])
    handler = functools.partial(QuietHandler, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, browser_page(1200, 1340) as view:
        if view is None:
            return False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        view.goto(f"http://127.0.0.1:{server.server_port}/")
        poses = {"name": "child_2_1.npy", "mimeType": "application/octet-stream", "buffer": minute.getvalue()}
        view.set_input_files("#file", poses)
        view.wait_for_selector("#result:not([hidden])")
        view.wait_for_timeout(1000)
        content = view.screenshot()
        server.shutdown()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(128).save(out, optimize=True)
    return True


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(app.run(main, MakeFigures, __doc__))
