"""A run can be looked at: the page is opened in a real browser, as a file, and used."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.repository import ROOT
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.pose import visible_mask
from spasm.data.segments import read_pose
from spasm.explain.attributions import Evidence, _explain, gather
from spasm.features import body_frame
from spasm.report import figures
from spasm.report.children import child_quality
from spasm.report.error_analysis import describe_errors, missing_event_fraction
from spasm.report.page import page
from spasm.report.player_data import STEPS, pack
from spasm.report.predictions import SegmentPredictions, least_certain, max_players, select_players, worst
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import read_decision, read_metrics
from spasm.runs.oof_table import read_oof

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium")
CPU = Hardware(device="cpu", precision="float32")
T = 60


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)


def done(*words: object) -> str:
    finished = run(*words)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def both(blended: Path, train_flags: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three members, and its report; tests must not change it."""
    folder = Path(shutil.copytree(blended, tmp_path_factory.mktemp("report") / "run"))
    flags = train_flags(folder)
    done("src/report.py", "--run", folder, "--cache", flags[flags.index("--cache") + 1])
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run"]  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


class Seen:
    """A page that was opened as a file, with what it said and asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#player .player[data-segment]")

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression holds; the page's policy forbids Playwright to wait inside it."""
        give_up = time.monotonic() + 20
        while not self.page.evaluate(expression):
            assert time.monotonic() < give_up, expression
            time.sleep(0.02)

    def frame(self) -> int:
        return int(self.page.input_value("#player .scrub"))

    def pixels(self, canvas: str) -> str:
        return self.page.evaluate(f"document.querySelector('#player canvas.{canvas}').toDataURL()")

    def close(self) -> None:
        self.page.close()


@pytest.fixture
def opened(browser: Any, both: Path) -> Iterator[Seen]:
    seen = Seen(browser, both / "report.html", viewport={"width": 1280, "height": 900})
    yield seen
    seen.close()


# ---- in a browser


@needs_browser
def test_the_page_opens_from_a_file_without_an_error_or_a_request(opened: Seen, both: Path) -> None:
    assert opened.asked == [(both / "report.html").as_uri()]
    assert opened.said == []
    assert opened.page.locator("header p").first.inner_text().startswith("SIMULATED DATA")
    assert opened.page.title().startswith("SIMULATED")


@needs_browser
def test_the_policy_of_the_page_forbids_requests_and_foreign_scripts(opened: Seen) -> None:
    assert opened.page.evaluate("fetch('data:text/plain,a').then(() => 'asked', () => 'refused')") == "refused"
    added = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    opened.page.evaluate(added)
    assert opened.page.evaluate("window.ran") is None


@needs_browser
def test_the_headline_is_that_of_the_metrics(opened: Seen, both: Path) -> None:
    told = files.read_json(both / "metrics.json")["cross_fitted"]
    cards = opened.page.locator(".cards div").all_inner_texts()
    for name, key in (("cross-fitted F1", "f1"), ("prevalence", "prevalence"), ("AUC", "auc"),
                      ("sensitivity", "sensitivity"), ("specificity", "specificity"),
                      ("F1 of always predicting positive", "always_positive_f1")):  # fmt: skip
        card = next(text for text in cards if text.startswith(name))
        assert f"{told[key]['value']:.3f}" in card
        if told[key]["low"] is not None:
            assert f"{told[key]['low']:.3f} to {told[key]['high']:.3f}" in card


@needs_browser
def test_the_player_plays_pauses_and_scrubs(opened: Seen) -> None:
    page = opened.page
    page.locator("#player .scrub").fill("0")
    first = opened.pixels("pose"), opened.pixels("time")
    page.select_option("#player .rate", "0.25")  # 8 s for the film: time enough to pause it
    page.click("#player .play")
    opened.until("+document.querySelector('#player .scrub').value > 3")
    page.click("#player .play")
    stopped = opened.frame()
    assert opened.pixels("pose") != first[0]
    assert opened.pixels("time") != first[1]
    page.wait_for_timeout(200)
    assert opened.frame() == stopped
    page.locator("#player .scrub").fill("30")
    assert page.locator("#player .values").inner_text().startswith("1.00 s (frame 30)")
    assert "landmarks found" in page.locator("#player .values").inner_text()
    page.select_option("#player .rate", "2")
    page.locator("#player .scrub").fill("0")
    page.click("#player .play")
    opened.until(f"+document.querySelector('#player .scrub').value === {T - 1}")
    opened.until("document.querySelector('#player .play').textContent.includes('play')")  # stops at the end


@needs_browser
def test_the_player_answers_to_the_keyboard_and_a_click_on_the_time_axis(opened: Seen) -> None:
    page = opened.page
    page.focus("#player .scrub")
    page.keyboard.press("Home")
    assert opened.frame() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert opened.frame() == 2
    page.keyboard.press("Space")
    opened.until("+document.querySelector('#player .scrub').value > 8")
    page.keyboard.press("Space")
    page.keyboard.press("End")
    assert opened.frame() == T - 1
    box = page.locator("#player canvas.time").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert abs(opened.frame() - T / 2) < 3


@needs_browser
def test_mirrored_and_root_relative_views_draw_another_picture(opened: Seen) -> None:
    plain = opened.pixels("pose")
    opened.page.check("#player .mirror")
    mirrored = opened.pixels("pose")
    opened.page.check("#player .relative")
    assert len({plain, mirrored, opened.pixels("pose")}) == 3


@needs_browser
def test_the_page_unpacks_what_was_packed(opened: Seen, both: Path, simulated: Path) -> None:
    name, box = opened.page.evaluate("[page.segments[0].name, page.segments[0].player.box]")
    motion = opened.page.evaluate(
        "unpack(page.segments[0].player).then("
        "(motion) => ({...motion, found: [...motion.found], x: [...motion.x], y: [...motion.y]}))"
    )
    pose = read_pose(simulated / "train" / name, T)
    there = visible_mask(pose)
    assert np.array_equal(np.array(motion["found"]).reshape(T, 33) == 1, there)
    for axis, key in enumerate("xy"):
        places = np.array(motion[key]).reshape(T, 33)
        assert np.abs(places - pose[..., axis])[there].max() <= box[2] / 2 + 2e-5
    speeds = body_frame.part_speeds(pose[None])[0]
    told = np.array(motion["speeds"], dtype=float)
    assert np.array_equal(np.isnan(told), np.isnan(speeds))
    assert np.nanmax(np.abs(told - speeds)) <= np.nanmax(speeds) / 254
    assert sum(motion["attention"]) == pytest.approx(1)


@needs_browser
def test_a_frame_without_a_pose_is_told_as_such(opened: Seen, simulated: Path) -> None:
    name, frame = next(
        (row["segment_name"], int(np.argmin(visible_mask(pose).any(axis=1))))
        for row in read_table(simulated / "train_data.csv", ("segment_name",))
        if not visible_mask(pose := read_pose(simulated / "train" / row["segment_name"], T)).any(axis=1).all()
        and visible_mask(pose).any()
    )
    opened.page.evaluate(f"main.show(page.segments.findIndex((segment) => segment.name === '{name}'))")
    opened.page.wait_for_selector(f"#player .player[data-segment='{name}']")
    opened.page.locator("#player .scrub").fill(str(frame))
    assert "0 of 33 landmarks found" in opened.page.locator("#player .values").inner_text()


def column(opened: Seen, number: int) -> list[str]:
    cells = f"[...document.querySelectorAll('#table tbody tr')].map((row) => row.children[{number}].dataset.value)"
    return opened.page.evaluate(cells)


@needs_browser
def test_the_table_begins_with_the_worst_child_and_sorts_by_any_column(opened: Seen) -> None:
    heads = opened.page.locator("#table thead button").all_inner_texts()
    wrong = [float(value) for value in column(opened, heads.index("wrong"))]
    assert wrong == sorted(wrong, reverse=True)
    assert len(wrong) == 8
    for name in ("Brier", "frames missing"):
        button = opened.page.locator("#table thead button", has_text=name)
        button.click()
        down = [float(value) for value in column(opened, heads.index(name))]
        assert down == sorted(down, reverse=True)
        button.focus()
        opened.page.keyboard.press("Enter")
        up = [float(value) for value in column(opened, heads.index(name))]
        assert up == sorted(up)
        assert button.locator("xpath=..").get_attribute("aria-sort") == "ascending"


@needs_browser
def test_the_table_can_be_filtered(opened: Seen) -> None:
    names = opened.page.locator("#table tbody th").all_inner_texts()
    opened.page.fill("#find", names[0])
    shown = opened.page.locator("#table tbody tr:visible").count()
    assert shown == sum(any(names[0] in text for text in (name,)) for name in names)
    opened.page.fill("#find", "patient")
    assert 0 < opened.page.locator("#table tbody tr:visible").count() < 8
    opened.page.fill("#find", "")
    opened.page.check("#only-errors")
    wrong = opened.page.evaluate(
        "[...document.querySelectorAll('#table tbody tr')].filter((r) => r.dataset.errors !== '0').length"
    )
    assert opened.page.locator("#table tbody tr:visible").count() == wrong


@needs_browser
def test_a_click_on_a_child_opens_its_segments_and_a_click_on_one_plays_it(opened: Seen) -> None:
    button = opened.page.locator("#table tbody button").last
    child = button.inner_text()
    button.focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#segments-title").inner_text().startswith(f"Child {child}: 5 segments")
    chips = opened.page.locator("#segment-list button")
    worst_of_child = chips.first.get_attribute("aria-label").split(",")[0]
    opened.page.wait_for_selector(f"#player .player[data-segment='{worst_of_child}']")  # it plays at once
    assert chips.first.get_attribute("aria-pressed") == "true"
    chip = chips.nth(2)
    label = chip.get_attribute("aria-label")
    chip.click()
    name = label.split(",")[0]
    opened.page.wait_for_selector(f"#player .player[data-segment='{name}']")
    assert opened.page.locator("#player .segment-title").inner_text() == f"{name}, child {child}"
    assert "called" in opened.page.locator("#player .summary").inner_text()
    assert opened.page.locator("#player ol.reasons li").count() >= 1
    assert opened.page.locator("#player .bars .bar").count() == 3


@needs_browser
def test_errors_stand_side_by_side_and_can_be_gone_through(opened: Seen, both: Path) -> None:
    table = read_table(both / "oof.csv", ("segment_name", "label", "label_predicted"))
    wrong = {row["segment_name"] for row in table if row["label"] != row["label_predicted"]}
    empty = set(
        opened.page.evaluate("page.segments.filter((segment) => !segment.has_pose).map((segment) => segment.name)")
    )
    opened.page.wait_for_selector("#worst-player .player[data-segment]")
    left = opened.page.locator("#worst-player .player")
    first = left.get_attribute("data-segment")
    assert first in wrong - empty  # a picture without a pose shows nothing
    opened.page.click("#worst-player .next")
    opened.until(f"document.querySelector('#worst-player .player').dataset.segment !== '{first}'")
    assert left.get_attribute("data-segment") in wrong
    places = [opened.page.locator(f"#{side}-player").bounding_box() for side in ("worst", "uncertain")]
    assert abs(places[0]["y"] - places[1]["y"]) < 5
    assert places[1]["x"] > places[0]["x"] + 300


@needs_browser
def test_values_can_be_read_off_a_figure_by_pointer_and_by_key(opened: Seen) -> None:
    reading = opened.page.locator("#figure-f1-threshold .reading")
    assert reading.inner_text() == ""
    opened.page.focus("#figure-f1-threshold .plot")
    opened.page.keyboard.press("ArrowRight")
    by_key = reading.inner_text()
    assert re.match(r"threshold of the probability: \d\.\d\d · F1 \d\.\d\d", by_key)
    box = opened.page.locator("#figure-f1-threshold .plot").bounding_box()
    opened.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert reading.inner_text() != by_key


@needs_browser
def test_on_a_phone_nothing_is_wider_than_the_screen_and_text_can_be_read(browser: Any, both: Path) -> None:
    seen = Seen(browser, both / "report.html", viewport={"width": 390, "height": 844}, has_touch=True)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    small = """[...document.querySelectorAll('p, li, td, th, button, figcaption, summary, dd, dt, label')]
        .filter((e) => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 12).length"""
    assert seen.page.evaluate(small) == 0
    seen.page.tap("#player .play")
    seen.until("+document.querySelector('#player .scrub').value > 5")
    canvas = seen.page.locator("#player canvas.pose").bounding_box()
    assert 250 < canvas["width"] <= 390
    assert seen.said == []
    seen.close()


@needs_browser
def test_light_and_dark_have_readable_text_and_figures(browser: Any, both: Path) -> None:
    contrast = """(() => {
        const linear = (v) => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
        const bright = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map(linear);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const made = document.createElement('i');
        document.body.append(made);
        const of = (name) => { made.style.color = `var(${name})`; return bright(getComputedStyle(made).color); };
        const paper = of('--paper');
        return ['--ink', '--faint', '--blue', '--orange', '--green', '--pink', '--bad'].map((name) => {
            const [high, low] = [of(name), paper].sort((a, b) => b - a); return (high + 0.05) / (low + 0.05); });
    })()"""
    pictures = []
    for scheme in ("light", "dark"):
        seen = Seen(browser, both / "report.html", color_scheme=scheme)
        assert min(seen.page.evaluate(contrast)) >= 4.5  # WCAG 2.2, level AA, text
        pictures.append(seen.pixels("pose"))
        seen.close()
    assert pictures[0] != pictures[1]


# ---- hostile content

EVIL = "<script>window.owned=1</script><img src=x onerror=window.owned=1>"


def invented(count: int = 6, hostile: str = "", labelled: bool = True) -> tuple[SegmentPredictions, Evidence]:
    """Segments of two children, wrong and right, with names that want to be more."""
    generator = np.random.default_rng(0)
    poses = generator.uniform(0.2, 0.8, (count, T, 33, 5)).astype(np.float32)
    poses[1, 10:20] = np.nan
    labels = np.arange(count) % 2
    probabilities = np.linspace(0.05, 0.95, count)
    children = [f"{row % 2}{hostile}" for row in range(count)]
    predictions = SegmentPredictions(
        names=[f"child_{row}{hostile}.npy" for row in range(count)], children=children, poses=poses,
        probability=probabilities, positive=probabilities >= 0.5, thresholds=np.full(count, 0.5),
        logits={member: generator.normal(size=count) for member in ("lgbm", "rocket", "stgcn_mil")},
        notes={f"child_{row}{hostile}.npy": hostile for row in range(count)},
        labels=labels if labelled else None, fold_of=np.arange(count) % 3 if labelled else None,
        has_pose=np.ones(count, dtype=bool), groups={child: {"cohort" + hostile: hostile} for child in children},
        events={f"child_0{hostile}.npy": [(5.0, 20.0, hostile)]}, warnings=[hostile] * 30,
    )  # fmt: skip
    attention = np.full((count, T), 1 / T)
    return predictions, Evidence(attention, generator.normal(size=(count, T)), [[] for _ in range(count)])


@needs_browser
def test_names_that_want_to_be_scripts_do_nothing(browser: Any, both: Path, tmp_path: Path) -> None:
    decision = read_decision(both)
    metrics = read_metrics(both, decision)
    data = decision.data.model_copy(update={"path": EVIL})
    decision = decision.model_copy(update={"data": data})
    predictions, evidence = invented(hostile=EVIL)
    models = [{"name": EVIL, "command": EVIL, "settings": [(EVIL, EVIL)]}]
    oof = read_oof(both, metrics)
    report = RunReport(predictions, np.arange(6), evidence, decision, metrics, oof, [(EVIL, EVIL)], models)
    html, _ = page(report)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    seen = Seen(browser, tmp_path / "page.html")
    seen.page.locator("#table tbody button").first.click()
    seen.page.locator("#segment-list button").first.click()
    seen.page.click("#player .play")
    assert seen.page.evaluate("window.owned") is None
    assert seen.page.locator("img").count() == 0
    assert seen.page.evaluate("document.scripts.length") == 2
    assert seen.asked == [(tmp_path / "page.html").as_uri()]
    assert seen.said == []
    assert EVIL in seen.page.locator("#player .segment-title").inner_text()  # told as it is
    seen.close()


def test_a_child_called_as_a_formula_is_drawn_as_text(tmp_path: Path) -> None:
    children = np.array(["$\\frac{1}{$", "_a^b", "<b>&"])
    drawing = figures.scores_by_child(children, np.array([0, 1, 0]), np.array([0.1, 0.7, 0.4]), 0.5)
    text = drawing.svg("x")
    assert "$\\frac{1}{$" in text
    assert "&lt;b&gt;&amp;" in text
    assert drawing.png().startswith(b"\x89PNG")


# ---- what is in the page


def test_a_report_is_written_whole_with_its_figures_and_card(both: Path) -> None:
    pictures = sorted(path.stem for path in (both / "figures").iterdir())
    assert pictures == sorted(
        ["roc", "precision-recall", "reliability", "f1-threshold", "decision-curve", "f1-prevalence", "scores-fold",
         "scores-child", "leaderboard", "quality-missing", "quality-outside", "quality-jitter", "folds"]
    )  # fmt: skip
    assert (both / "model_card.md").read_text().startswith("**SIMULATED DATA")
    html = (both / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)[1]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"(?:src|href)=[\"'](?!#)", re.sub(r'xlink:href="#', "", html))


def test_every_figure_has_axes_with_names_and_can_be_told_apart_without_colour(both: Path) -> None:
    predictions, _ = invented(40)
    decision = read_decision(both)
    metrics = read_metrics(both, decision)
    metrics = metrics.model_copy(update={"cross_fitted_thresholds": [0.5] * 3})
    nothing, oof = Evidence(np.zeros((0, T)), np.zeros((0, T)), []), read_oof(both, metrics)
    _, plots = page(RunReport(predictions, np.arange(0), nothing, decision, metrics, oof, [], []))
    assert len(plots) == 13
    for name, plot in plots.items():
        for axes in np.ravel(plot.axes):
            assert axes.get_xlabel(), name
            assert axes.get_ylabel() or name == "leaderboard", name
            marks = [
                (line.get_linestyle(), line.get_marker()) for line in axes.get_lines() if line.get_label()[0] != "_"
            ]
            assert len(marks) == len(set(marks)), (name, marks)


def test_the_fold_that_never_saw_a_child_explains_it(both: Path, simulated: Path) -> None:
    decision = read_decision(both)
    table = read_table(both / "oof.csv", ("segment_name", "fold", "lgbm_logit", "stgcn_mil_logit"))
    poses = np.stack([read_pose(simulated / "train" / row["segment_name"], T) for row in table[:12]])
    fold_of = np.array([int(row["fold"]) for row in table[:12]])
    posed = visible_mask(poses).any(axis=(1, 2))
    for fold in range(3):
        rows = np.flatnonzero((fold_of == fold) & posed)
        work = (both, "lgbm", decision.models["lgbm"], [fold], CPU)
        shap_values = _explain(work, poses[rows]).shap_values
        # What every segment has in common, the bias, is the same for all of a fold.
        rest = np.array([float(table[row]["lgbm_logit"]) for row in rows]) - shap_values.sum(axis=1)
        assert len(rest) < 2 or np.ptp(rest) < 1e-6
    evidence = gather(both, decision, poses, fold_of, CPU)
    logit = np.nansum(evidence.attention * np.nan_to_num(evidence.frame_logits), axis=1)
    own = [float(row["stgcn_mil_logit"]) for row in table[:12]]
    assert logit[posed] == pytest.approx(np.array(own)[posed], abs=1e-4)  # the logit is what was looked at, weighed
    assert evidence.attention.sum(axis=1)[posed] == pytest.approx(1, abs=1e-5)
    assert np.isnan(evidence.frame_logits[~visible_mask(poses).any(axis=2)]).all()
    assert any(evidence.reasons)
    assert not any(reasons for reasons, there in zip(evidence.reasons, posed, strict=True) if not there)


def test_of_many_segments_the_worst_the_least_certain_and_a_sample_are_kept() -> None:
    predictions, _ = invented(400)
    rows = select_players(predictions, 100)
    assert len(rows) == len(set(rows)) == 100
    assert list(rows) == sorted(rows)
    assert set(worst(predictions)[:50]) <= set(rows)
    assert set(least_certain(predictions)[:25]) <= set(rows)
    assert np.array_equal(rows, select_players(predictions, 100))
    assert np.array_equal(select_players(predictions, 400), np.arange(400))
    first = worst(predictions)[0]
    assert predictions.positive[first] != (predictions.labels[first] == 1)
    assert abs(predictions.probability[first] - 0.5) > 0.4
    assert max_players(1500, 150) == max_players(1500, 60) == 1500
    assert max_players(1500, 300) == 750


def test_a_large_run_says_how_many_can_be_played(both: Path, train_flags: Callable[..., list[str]]) -> None:
    flags = train_flags(both)
    before = (both / "report.html").read_bytes()
    said = done("src/report.py", "--run", both, "--cache", flags[flags.index("--cache") + 1], "--max-players", 7)
    html = (both / "report.html").read_text(encoding="utf-8")
    (both / "report.html").write_bytes(before)
    assert "7 of 40 segments can be played" in said
    assert "7 of 40 segments are here" in html
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert len(data["segments"]) == 40
    assert sum(segment["player"] is not None for segment in data["segments"]) == 7


@pytest.mark.command
def test_1400_segments_fit_into_15_megabytes(tmp_path: Path) -> None:
    done("src/simulate.py", "--out", tmp_path / "data", "--children", 4, "--segments-per-child", 10)
    sizes = []
    for path in sorted((tmp_path / "data/train").glob("*.npy")):
        pose = read_pose(path, 150)
        noise = np.random.default_rng(0)
        packed = pack(pose, noise.random(150), noise.normal(size=150), body_frame.part_speeds(pose[None])[0])
        sizes.append(len(json.dumps(packed)))
        assert packed["box"][2] <= 6 / STEPS
    # 1,500 bytes of reasons and predictions each, and a megabyte of figures and tables.
    assert 1400 * (np.mean(sizes) + 1500) + 1e6 < 15e6


def test_children_are_measured_by_what_their_recordings_lack() -> None:
    predictions, _ = invented(6)
    quality = child_quality(predictions)
    assert quality.names == ["0", "1"]
    assert quality.missing == pytest.approx([0, 10 / T / 3])
    assert quality.duplicates == 0
    assert (quality.outside == 0).all()
    predictions.poses[2] = predictions.poses[0]
    predictions.poses[4, ..., 0] += 1
    quality = child_quality(predictions)
    assert quality.duplicates == 1
    assert quality.outside == pytest.approx([1 / 3, 0])


@needs_browser
def test_new_segments_get_the_same_page_without_claims_about_them(
    browser: Any, both: Path, simulated: Path, tmp_path: Path
) -> None:
    command = ("submission.py", "--test", simulated / "test", "--run", both, "--out", tmp_path / "s.csv", "--report")
    assert "s_report.html" in done(*command)
    seen = Seen(browser, tmp_path / "s_report.html")
    text = seen.page.inner_text("main")
    assert "Their truth is not known here" in text
    assert "missed" not in text
    assert "false alarm" not in text
    assert seen.page.locator("#table tbody tr").count() == 2
    named = seen.page.evaluate("page.segments.map((segment) => [segment.name, segment.probability, segment.predicted])")
    answered = read_table(tmp_path / "s_probabilities.csv", ("segment_name", "probability", "label"))
    assert [name for name, _, _ in named] == [row["segment_name"] for row in answered]
    assert [p for _, p, _ in named] == pytest.approx([float(row["probability"]) for row in answered], abs=1e-5)
    assert [answer for _, _, answer in named] == [int(row["label"]) for row in answered]
    assert seen.said == []
    seen.close()


# ---- what goes wrong


@pytest.mark.command
def test_a_run_without_a_decision_has_no_report(tmp_path: Path) -> None:
    finished = run("src/report.py", "--run", tmp_path)
    assert finished.returncode == 1
    assert "decision.json" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("name", ["oof.csv", "metrics.json"])
def test_a_damaged_run_is_named_and_the_old_report_kept(
    name: str, both: Path, tmp_path: Path, train_flags: Callable[..., list[str]]
) -> None:
    folder = Path(shutil.copytree(both, tmp_path / "run"))
    content = (folder / name).read_text()
    (folder / name).write_text(content.replace("0.", "x.", 40) if name == "oof.csv" else content[:200] + "}")
    flags = train_flags(folder)
    finished = run("src/report.py", "--run", folder, "--cache", flags[flags.index("--cache") + 1])
    assert finished.returncode == 1
    assert name in finished.stderr
    assert "Traceback" not in finished.stderr
    assert (folder / "report.html").read_bytes() == (both / "report.html").read_bytes()


def test_figures_that_are_not_of_the_decision_are_refused(both: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(both, tmp_path / "run"))
    decision = read_decision(folder)
    told = files.read_json(folder / "metrics.json")
    files.write_json(folder / "metrics.json", told | {"threshold": 0.123})
    with pytest.raises(DataError, match="another decision"):
        read_metrics(folder, decision)


NOTED = """
import os, sys
class Noted:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "lightgbm"):
            with open(os.environ["NOTED"], "a") as file:
                file.write(f"{os.getpid()} {name}\\n")
sys.meta_path.insert(0, Noted())
"""


def test_no_process_of_a_report_holds_both_torch_and_lightgbm(
    both: Path, tmp_path: Path, train_flags: Callable[..., list[str]]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOTED)
    flags = train_flags(both)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NOTED": str(tmp_path / "log")}
    command = ["src/report.py", "--run", str(both), "--cache", flags[flags.index("--cache") + 1]]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, env=environment)
    lines = {tuple(line.split()) for line in (tmp_path / "log").read_text().splitlines()}
    processes = [process for process, _ in lines]
    assert {name for _, name in lines} == {"torch", "lightgbm"}
    assert len(processes) == len(set(processes))


def test_what_made_spasms_be_missed_is_counted() -> None:
    predictions, evidence = invented(8)
    events = {f"child_{row}.npy": [(10.0, 19.0, "flexor")] for row in range(8)}
    predictions = dataclasses.replace(predictions, events=events, positive=np.zeros(8, dtype=bool))
    predictions.poses[3, 20:30] = np.nan
    evidence.attention[5] = np.arange(T) == 12
    evidence.attention[7] = np.arange(T) == 40
    evidence.attention[3] = np.arange(T) == 15
    lines = describe_errors(predictions, np.arange(8), evidence)
    # Segment 1 has no pose in frames 10 to 19, which are its event; 3 and 5 were looked at, 7 elsewhere.
    assert any("Of 4 missed spasms whose time is known 1 lie mostly in gaps" in line for line in lines)
    assert any("in 1 others the network looked elsewhere, in 2 it looked there" in line for line in lines)
    assert any("flexor 0 of 4 (0 %)" in line for line in lines)
    assert any(
        "Of 1 children with a spasm 0 have one that was found; of 1 children without 0" in line for line in lines
    )
    assert missing_event_fraction(predictions, 1) == 1
    assert missing_event_fraction(predictions, 3) == 0


def test_segments_without_a_pose_are_told_apart_and_not_among_those_worth_a_look() -> None:
    predictions, evidence = invented(8)
    has_pose = np.arange(8) != 6
    predictions = dataclasses.replace(predictions, has_pose=has_pose)
    assert 6 not in worst(predictions)
    assert 6 not in least_certain(predictions)
    assert any(
        "Of 1 segments without any pose 1 were called positive" in line
        for line in describe_errors(predictions, np.arange(8), evidence)
    )
