"""The page of a run is opened in a real browser, as a file, and used."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.browser import PageInBrowser, needs_browser
from helpers.repository import ROOT
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.pose import visible_mask
from spasm.data.segments import read_pose
from spasm.explain.attributions import Evidence, _explain, explaining, gather
from spasm.features import body_frame
from spasm.report import model_figures
from spasm.report.children import child_quality
from spasm.report.error_analysis import describe_errors, missing_event_fraction
from spasm.report.page import page
from spasm.report.player_data import STEPS, pack
from spasm.report.predictions import (
    SegmentPredictions,
    least_certain,
    max_players,
    opening_segment,
    select_players,
    worst,
)
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import read_decision, read_metrics
from spasm.runs.oof_table import read_oof

CPU = Hardware(device="cpu", precision="float32")
T = 60


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)


def done(*words: object) -> str:
    finished = run(*words)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


# ---- in a browser


@needs_browser
def test_the_page_opens_from_a_file_without_an_error_or_a_request(opened: PageInBrowser, both: Path) -> None:
    assert opened.requests == [(both / "report.html").as_uri()]
    assert opened.messages == []
    assert opened.page.locator("header p").first.inner_text().startswith("SIMULATED DATA")
    assert opened.page.title().startswith("SIMULATED")


@needs_browser
def test_the_policy_of_the_page_forbids_requests_and_foreign_scripts(opened: PageInBrowser) -> None:
    assert opened.page.evaluate("fetch('data:text/plain,a').then(() => 'asked', () => 'refused')") == "refused"
    added = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    opened.page.evaluate(added)
    assert opened.page.evaluate("window.ran") is None


@needs_browser
def test_the_page_begins_with_the_verdict_and_four_cards(opened: PageInBrowser, both: Path) -> None:
    found = files.read_json(both / "metrics.json")["cross_fitted"]
    verdict = opened.page.locator(".verdict").inner_text()
    assert re.fullmatch(r"SIMULATED Finds .* spasms?; .*\.", verdict)
    cards = opened.page.locator(".cards div").all_inner_texts()
    assert [card.split("\n")[0] for card in cards] == ["F1", "Sensitivity", "Precision", "AUC"]
    assert f"{found['f1']['value']:.3f}" in cards[0]
    assert f"{found['f1']['low']:.3f} to {found['f1']['high']:.3f}" in cards[0]
    assert f"{found['always_positive_f1']['value']:.3f}" in cards[0]
    assert f"{100 * found['sensitivity']['value']:.0f} %" in cards[1]
    assert f"{100 * found['precision']['value']:.0f} %" in cards[2]
    assert f"{found['auc']['value']:.3f}" in cards[3]
    top = opened.page.locator(".cards").bounding_box()
    assert top["y"] + top["height"] < 900  # seen without scrolling


@needs_browser
def test_the_confusion_matrix_counts_every_segment_beside_the_calibration_table(
    opened: PageInBrowser, both: Path
) -> None:
    table = read_table(both / "oof.csv", ("segment_name", "label", "label_predicted"))
    pairs = [(row["label"], row["label_predicted"]) for row in table]
    counts = [pairs.count(pair) for pair in (("1", "1"), ("1", "0"), ("0", "1"), ("0", "0"))]
    shown = opened.page.locator(".confusion td b").all_inner_texts()
    assert [int(number) for number in shown] == counts
    places = [opened.page.locator(name).bounding_box() for name in (".confusion", ".calibration")]
    assert places[1]["x"] > places[0]["x"] + places[0]["width"] - 1
    assert abs(places[0]["y"] - places[1]["y"]) < 20


@needs_browser
def test_errors_and_player_follow_the_summary(opened: PageInBrowser) -> None:
    sections = opened.page.evaluate("[...document.querySelectorAll('main > section')].map((section) => section.id)")
    assert sections == ["headline", "errors", "player", "children", "curves", "quality", "folds", "made"]
    links = opened.page.evaluate("[...document.querySelectorAll('nav a')].map((link) => link.hash.slice(1))")
    assert links == sections


@needs_browser
def test_the_navigation_marks_the_section_that_is_read(opened: PageInBrowser) -> None:
    marked = "[...document.querySelectorAll('nav a[aria-current]')].map((link) => link.hash).join()"
    assert opened.page.evaluate(marked) == "#headline"
    for name in ("curves", "player", "made"):
        opened.page.click(f"nav a[href='#{name}']")
        opened.until(f"{marked} === '#{name}'")
        assert opened.page.locator("nav").bounding_box()["y"] == 0  # it stays in sight


@needs_browser
def test_the_page_opens_on_a_found_spasm_whose_event_is_known(opened: PageInBrowser) -> None:
    name = opened.page.get_attribute("#player .player", "data-segment")
    segment = opened.page.evaluate(f"page.segments.find((segment) => segment.name === '{name}')")
    assert segment["label"] == segment["predicted"] == 1
    assert segment["events"]
    assert segment["pose_fraction"] >= 0.9


@needs_browser
def test_segments_have_badges_in_words(opened: PageInBrowser) -> None:
    words = {
        (0, 0): "correct",
        (0, 1): "false alarm",
        (1, 0): "missed",
        (1, 1): "found",
    }
    segments = opened.page.evaluate(
        "page.segments.map((one) => [one.label, one.predicted, one.has_pose, one.too_little_seen])"
    )
    chips = opened.page.evaluate(
        "[...document.querySelectorAll('.chip')].map((chip) => [+chip.dataset.row,"
        " [...chip.querySelectorAll('.outcome')].map((badge) => badge.textContent.replace(/^\\W+/, ''))])"
    )
    assert chips
    for row, badges in chips:
        label, predicted, has_pose, too_little = segments[row]
        poor = ["too little seen" if has_pose else "no pose"] if too_little else []
        assert badges == [words[label, predicted], *poor]
    shapes = opened.page.evaluate(
        "['#errors', '#children'].flatMap((place) => [...document.querySelectorAll(`${place} .chip`)]).map((chip) =>"
        " [chip.querySelector('.shape').textContent, chip.querySelector('.outcome').textContent])"
    )
    assert len({shape for shape, _ in shapes}) == len({word for _, word in shapes})  # read without colours, too


@needs_browser
@pytest.mark.parametrize("labelled", [True, False])
def test_printing_gives_one_page(labelled: bool, browser: Any, both: Path, predicted: Path) -> None:
    seen = PageInBrowser(browser, both / "report.html" if labelled else predicted)
    sheets = len(re.findall(rb"/Type\s*/Page\b", seen.page.pdf(format="A4", prefer_css_page_size=True)))
    assert sheets == 1
    seen.page.emulate_media(media="print")
    for name in (".verdict", ".warning", ".cards", ".confusion", ".calibration", ".printed", ".limits", ".what"):
        assert seen.page.locator(name).first.is_visible(), name
    for name in ("nav", "#player", "#children", "#made", "details"):
        assert not seen.page.locator(name).first.is_visible(), name
    seen.close()


@needs_browser
def test_numbers_in_tables_have_at_most_four_digits(opened: PageInBrowser) -> None:
    cells = opened.page.evaluate(
        """[...document.querySelectorAll('main td')].map(
            (cell) => [...cell.childNodes].map((node) => node.textContent).join(' '))"""
    )
    assert len(cells) > 50
    numbers = [number for cell in cells for number in re.findall(r"[\d.]+", cell)]
    assert [number for number in numbers if len(number.replace(".", "")) > 4] == []


def column(opened: PageInBrowser, number: int) -> list[str]:
    cells = f"[...document.querySelectorAll('#table tbody tr')].map((row) => row.children[{number}].dataset.value)"
    return opened.page.evaluate(cells)


@needs_browser
def test_the_table_begins_with_the_worst_child_and_sorts_by_any_column(opened: PageInBrowser) -> None:
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
def test_the_table_can_be_filtered(opened: PageInBrowser) -> None:
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
def test_a_click_on_a_child_opens_its_segments_and_a_click_on_one_plays_it(opened: PageInBrowser) -> None:
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
    assert opened.page.locator("#player .segment-title").inner_text() == f"Child {child}, segment {name}"
    assert opened.page.locator("#player .summary").inner_text().startswith("Predicted: ")


@needs_browser
def test_errors_are_listed_and_can_be_compared_with_close_calls(opened: PageInBrowser, both: Path) -> None:
    table = read_table(both / "oof.csv", ("segment_name", "label", "label_predicted"))
    wrong = {row["segment_name"] for row in table if row["label"] != row["label_predicted"]}
    empty = set(
        opened.page.evaluate(
            "page.segments.filter((segment) => segment.too_little_seen).map((segment) => segment.name)"
        )
    )
    listed = opened.page.locator("#worst-list .chip")
    names = [listed.nth(number).get_attribute("title") for number in range(listed.count())]
    assert names
    assert set(names) <= wrong - empty  # of which too little was seen to call them surely wrong
    listed.nth(1).click()
    opened.page.wait_for_selector(f"#main-player .player[data-segment='{names[1]}']")
    opened.page.click("#main-player .previous")
    opened.page.wait_for_selector(f"#main-player .player[data-segment='{names[0]}']")
    opened.page.click("#compare > summary")
    assert opened.page.get_attribute("#worst-player .player", "data-segment") == names[0]
    places = [opened.page.locator(f"#{side}-player").bounding_box() for side in ("worst", "uncertain")]
    assert abs(places[0]["y"] - places[1]["y"]) < 5
    assert places[1]["x"] > places[0]["x"] + 300


@needs_browser
def test_values_can_be_read_off_a_figure_by_pointer_and_by_key(opened: PageInBrowser) -> None:
    reading = opened.page.locator("#figure-f1-threshold .reading")
    assert not reading.is_visible()
    opened.page.focus("#figure-f1-threshold .plot")
    opened.page.keyboard.press("ArrowRight")
    by_key = reading.inner_text()
    assert re.match(r"threshold of the probability: \d\.\d\d\nF1 \d\.\d\d", by_key)
    box = opened.page.locator("#figure-f1-threshold .plot").bounding_box()
    opened.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert reading.inner_text() != by_key


@needs_browser
def test_reading_a_value_moves_nothing(opened: PageInBrowser) -> None:
    layout = """JSON.stringify([document.documentElement.scrollHeight,
        ...[...document.querySelectorAll('figcaption')].map((e) => e.getBoundingClientRect().top + scrollY)])"""
    before = opened.page.evaluate(layout)
    for name in ("roc", "reliability", "learning-curves"):
        opened.page.locator(f"#figure-{name} .plot").scroll_into_view_if_needed()
        box = opened.page.locator(f"#figure-{name} .plot").bounding_box()
        for part in (0.3, 0.6, 0.9):
            opened.page.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2)
            assert opened.page.locator(f"#figure-{name} .reading").is_visible()
            assert opened.page.evaluate(layout) == before


@needs_browser
def test_a_click_on_a_point_of_the_scores_plays_the_segment(opened: PageInBrowser) -> None:
    plot = opened.page.locator("#figure-scores-child .plot")
    plot.scroll_into_view_if_needed()
    row, x, y = opened.page.evaluate(
        """(() => {
        const figure = page.figures['scores-child'], [xs, ys] = figure.points, [left, top, wide, tall] = figure.box;
        const row = page.segments.findIndex((segment, row) => segment.player && row !== page.first && ys.every(
            (y, other) => other === row || xs[other] !== xs[row] || Math.abs(y - ys[row]) > 0.02));
        return [row, left + (wide * (xs[row] - figure.x[0])) / (figure.x[1] - figure.x[0]),
            top + tall * (1 - (ys[row] - figure.y[0]) / (figure.y[1] - figure.y[0]))]; })()"""
    )
    box = plot.locator(".sheet").bounding_box()
    opened.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    name = opened.page.evaluate(f"page.segments[{row}].name")
    assert plot.locator(".reading").inner_text().startswith(name)
    opened.page.mouse.down()
    opened.page.mouse.up()
    opened.page.wait_for_selector(f"#player .player[data-segment='{name}']")
    child = opened.page.evaluate(f"page.children[page.segments[{row}].child]")
    assert opened.page.locator("#segments-title").inner_text().startswith(f"Child {child}:")


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_text_in_figures_is_large_enough_to_read(width: int, browser: Any, both: Path) -> None:
    seen = PageInBrowser(browser, both / "report.html", viewport={"width": width, "height": 900})
    sizes = seen.page.evaluate(
        """[...document.querySelectorAll('.plot svg text')].map((text) => {
            const { a, b } = text.getScreenCTM();
            return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b); })"""
    )
    assert len(sizes) > 100
    assert min(sizes) >= 11
    seen.close()


@needs_browser
def test_on_a_phone_nothing_is_wider_than_the_screen_and_text_can_be_read(browser: Any, both: Path) -> None:
    seen = PageInBrowser(browser, both / "report.html", viewport={"width": 390, "height": 844}, has_touch=True)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    small = """[...document.querySelectorAll('p, li, td, th, button, figcaption, summary, dd, dt, label')]
        .filter((e) => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 12).length"""
    assert seen.page.evaluate(small) == 0
    seen.page.tap("#player .play")
    seen.until("+document.querySelector('#player .scrub').value > 5")
    canvas = seen.page.locator("#player canvas.pose").bounding_box()
    assert 250 < canvas["width"] <= 390
    assert seen.messages == []
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
        seen = PageInBrowser(browser, both / "report.html", color_scheme=scheme)
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
        logits={model: generator.normal(size=count) for model in ("lgbm", "rocket", "stgcn_mil")},
        notes={f"child_{row}{hostile}.npy": hostile for row in range(count)},
        labels=labels if labelled else None, fold_of=np.arange(count) % 3 if labelled else None,
        has_pose=np.ones(count, dtype=bool), too_little_seen=np.zeros(count, dtype=bool),
        groups={child: {"cohort" + hostile: hostile} for child in children},
        events={f"child_0{hostile}.npy": [(5.0, 20.0, hostile)]}, warnings=[hostile] * 30,
    )  # fmt: skip
    attention = np.full((count, T), 1 / T)
    return predictions, Evidence(
        attention, generator.normal(size=(count, T)), [[] for _ in range(count)], {"stgcn_mil": 1.0}
    )


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
    seen = PageInBrowser(browser, tmp_path / "page.html")
    seen.page.locator("#table tbody button").first.click()
    seen.page.locator("#segment-list button").first.click()
    seen.page.click("#player .play")
    assert seen.page.evaluate("window.owned") is None
    assert seen.page.locator("img").count() == 0
    assert seen.page.evaluate("document.scripts.length") == 2
    assert seen.requests == [(tmp_path / "page.html").as_uri()]
    assert seen.messages == []
    assert EVIL in seen.page.locator("#player .segment-title").inner_text()  # shown as it is
    seen.close()


def test_a_child_called_as_a_formula_is_shown_as_text(tmp_path: Path) -> None:
    children = np.array(["$\\frac{1}{$", "_a^b", "<b>&"])
    drawing = model_figures.scores_by_child(children, np.array([0, 1, 0]), np.array([0.1, 0.7, 0.4]), 0.5)
    text = drawing.svg("x")
    assert "$\\frac{1}{$" in text
    assert "&lt;b&gt;&amp;" in text
    assert drawing.png().startswith(b"\x89PNG")


# ---- what is in the page


def test_a_report_is_written_whole_with_its_figures_and_card(both: Path) -> None:
    names = ["roc", "precision-recall", "reliability", "f1-threshold", "decision-curve", "f1-prevalence", "scores-fold",
             "scores-child", "leaderboard", "learning-curves", "importances", "quality", "drift", "folds"]  # fmt: skip
    files_of = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert {path.name for path in (both / "figures").iterdir()} == files_of
    for path in (both / "figures").glob("*.svg"):
        assert ">SIMULATED<" in path.read_text()
        assert "var(--" not in path.read_text()  # the colours of the page are not known there
    assert (both / "model_card.md").read_text().startswith("**SIMULATED DATA")
    html = (both / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)[1]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"(?:src|href)=[\"'](?!#)", re.sub(r'xlink:href="#', "", html))


def test_every_figure_has_axes_with_names_and_can_be_distinguished_without_colour(both: Path) -> None:
    predictions, _ = invented(40)
    decision = read_decision(both)
    metrics = read_metrics(both, decision)
    metrics = metrics.model_copy(update={"cross_fitted_thresholds": [0.5] * 3})
    nothing, oof = Evidence(np.zeros((0, T)), np.zeros((0, T)), [], {}), read_oof(both, metrics)
    _, plots = page(RunReport(predictions, np.arange(0), nothing, decision, metrics, oof, [], []))
    assert len(plots) == 11
    for name, plot in plots.items():
        for axes in np.ravel(plot.axes):
            assert axes.get_xlabel() or (name == "quality" and axes is not plot.axes[-1]), name
            assert axes.get_ylabel() or name == "leaderboard", name
            assert "SIMULATED" in [text.get_text() for text in axes.texts], name
            marks = [
                (str(line._unscaled_dash_pattern), line.get_linestyle(), line.get_marker())
                for line in axes.get_lines()
                if line.get_label()[0] != "_"
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
        work = (both, "lgbm", explaining(both, decision)["lgbm"], "all", [fold], CPU)
        shap_values = _explain(work, poses[rows]).shap_values
        # What every segment has in common, the bias, is the same for all of a fold.
        rest = np.array([float(table[row]["lgbm_logit"]) for row in rows]) - shap_values.sum(axis=1)
        assert len(rest) < 2 or np.ptp(rest) < 1e-6
    evidence = gather(both, decision, poses, fold_of, CPU)
    logit = np.nansum(evidence.attention * np.nan_to_num(evidence.frame_logits), axis=1)
    own = [float(row["stgcn_mil_logit"]) for row in table[:12]]
    # The logit is the mean of the frame logits, weighted by attention.
    assert logit[posed] == pytest.approx(np.array(own)[posed], abs=1e-4)
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
    output = done("src/report.py", "--run", both, "--cache", flags[flags.index("--cache") + 1], "--max-players", 7)
    html = (both / "report.html").read_text(encoding="utf-8")
    (both / "report.html").write_bytes(before)
    assert "7 of 40 segments can be played" in output
    assert "7 of 40 segments can be played" in html
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


@pytest.fixture(scope="module")
def predicted(both: Path, simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of predictions for new segments; their CSV files lie beside it."""
    folder = tmp_path_factory.mktemp("predicted")
    command = ("submission.py", "--test", simulated / "test", "--run", both, "--out", folder / "s.csv", "--report")
    assert "s_report.html" in done(*command)
    return folder / "s_report.html"


@needs_browser
def test_new_segments_get_the_same_page_without_claims_about_them(browser: Any, predicted: Path) -> None:
    seen = PageInBrowser(browser, predicted)
    sections = seen.page.evaluate("[...document.querySelectorAll('main > section')].map((section) => section.id)")
    assert sections == ["predictions", "player", "children", "headline", "quality", "made"]
    assert "The true labels are not known here" in seen.page.inner_text("#predictions")
    for name in ("#predictions", "#player", "#children", ".verdict"):
        text = seen.page.inner_text(name)
        assert "missed" not in text
        assert "false alarm" not in text
    assert seen.page.locator("#table tbody tr").count() == 2
    named = seen.page.evaluate("page.segments.map((segment) => [segment.name, segment.probability, segment.predicted])")
    written = read_table(predicted.with_name("s_probabilities.csv"), ("segment_name", "probability", "label"))
    assert [name for name, _, _ in named] == [row["segment_name"] for row in written]
    assert [p for _, p, _ in named] == pytest.approx([float(row["probability"]) for row in written], abs=1e-5)
    assert [label for _, _, label in named] == [int(row["label"]) for row in written]
    assert seen.messages == []
    seen.close()


# ---- what goes wrong


@pytest.mark.command
def test_a_run_without_a_decision_has_no_report(tmp_path: Path) -> None:
    finished = run("src/report.py", "--run", tmp_path)
    assert finished.returncode == 1
    assert "holds no run" in finished.stderr
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
    found = files.read_json(folder / "metrics.json")
    files.write_json(folder / "metrics.json", found | {"threshold": 0.123})
    with pytest.raises(DataError, match="another decision"):
        read_metrics(folder, decision)


NOTED = """
import os, sys
class Noted:
    def find_spec(self, name, path=None, target=None):
        caller = sys._getframe(1)
        while caller and "_bootstrap" in caller.f_code.co_filename:
            caller = caller.f_back
        asked = caller and caller.f_globals["__name__"] == "importlib.util"  # which loads nothing
        if name in ("torch", "lightgbm") and not asked:
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
    # Segment 1 has no pose in frames 10 to 19, which are its event; attention is highest on that of 3 and 5, not of 7.
    assert lines[0] == (
        "Of the 4 missed spasms: 1 lie mostly in gaps without a pose and could hardly be seen; "
        "1 have the highest attention outside the spasm; "
        "2 have the highest attention on the spasm, but a probability below the threshold."
    )
    assert any("flexor 0 of 4 (0 %)" in line for line in lines)
    assert any(
        "In 0 of 1 children with spasms at least one is found. 0 of 1 children without" in line for line in lines
    )
    assert "Of the spasms that lie mostly in gaps 0 of 1 are found; of the others 0 of 3 (0 %)." in lines
    evidence = dataclasses.replace(evidence, networks={"stgcn_mil": 0.0})
    without = describe_errors(predictions, np.arange(8), evidence)
    assert "3 were seen, but have a probability below the threshold" in without[0], "it has no part in the prediction"
    assert missing_event_fraction(predictions, 1) == 1
    assert missing_event_fraction(predictions, 3) == 0


@pytest.mark.parametrize("labelled", [True, False])
def test_segments_of_which_too_little_was_seen_are_in_no_list(labelled: bool) -> None:
    predictions, _ = invented(8, labelled=labelled)
    predictions = dataclasses.replace(predictions, too_little_seen=np.arange(8) == 6)
    assert 6 not in worst(predictions)
    assert 6 not in least_certain(predictions)
    assert opening_segment(predictions, np.array([6, 1])) == 1


def test_the_page_opens_with_few_gaps_rather_than_with_the_highest_probability() -> None:
    predictions, _ = invented(8)
    rows = np.arange(8)
    events = {f"child_{row}.npy": [(10.0, 19.0, "flexor")] for row in (5, 7)}
    known = dataclasses.replace(predictions, events=events)
    assert opening_segment(known, rows) == 7  # the most probable of the found spasms with a known event
    known.poses[7, :30] = np.nan
    assert opening_segment(known, rows) == 5
    assert opening_segment(known, np.array([7])) == 7
    assert opening_segment(dataclasses.replace(known, positive=np.zeros(8, dtype=bool)), rows) == 7
    assert opening_segment(dataclasses.replace(known, labels=None), rows) == 7
    assert opening_segment(dataclasses.replace(known, has_pose=np.zeros(8, dtype=bool)), rows) is None
