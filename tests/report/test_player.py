"""The player of the page, in a real browser: a body that moves, its time strip, and the reasons beside it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.browser import PageInBrowser, needs_browser
from spasm.core import files
from spasm.core.tables import read_table
from spasm.data.pose import visible_mask
from spasm.data.segments import read_pose
from spasm.features import body_frame
from spasm.report.body_drawing import DARK, FACE, LIGHT, for_page
from spasm.report.player_data import DEEPEST, DEPTH_STEP

pytestmark = needs_browser
T = 60


def cursor(opened: PageInBrowser) -> str:
    """Where the time strip shows the frame."""
    return opened.page.evaluate("document.querySelector('#player .cursor').style.transform")


def changed_page(both: Path, folder: Path, change: str) -> Path:
    """The report with other data: `change` is Python that changes the dictionary `data`."""
    html = (both / "report.html").read_text(encoding="utf-8")
    found = re.search(r'(<script type="application/json" id="data">)(.*?)(</script>)', html, re.DOTALL)
    data = json.loads(found[2])
    exec(change, {"data": data})
    content = json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e")
    (folder / "changed.html").write_text(html.replace(found[2], content), encoding="utf-8")
    return folder / "changed.html"


def test_the_player_plays_pauses_and_scrubs(opened: PageInBrowser) -> None:
    page = opened.page
    page.locator("#player .scrub").fill("0")
    first = opened.pixels("pose"), cursor(opened)
    page.select_option("#player .rate", "0.25")  # 8 s for the segment: time enough to pause it
    page.click("#player .play")
    opened.until("+document.querySelector('#player .scrub').value > 3")
    page.click("#player .play")
    stopped = opened.frame()
    assert opened.pixels("pose") != first[0]
    assert cursor(opened) != first[1]
    page.wait_for_timeout(200)
    assert opened.frame() == stopped
    page.locator("#player .scrub").fill("30")
    assert page.locator("#player .values").inner_text().startswith("1.00 s (frame 30)")
    assert "landmarks found" in page.locator("#player .values").inner_text()
    page.select_option("#player .rate", "2")
    page.uncheck("#player .loop")
    page.locator("#player .scrub").fill("0")
    page.click("#player .play")
    opened.until(f"+document.querySelector('#player .scrub').value === {T - 1}")
    opened.until("document.querySelector('#player .play').textContent.includes('play')")  # stops at the end


def test_the_player_follows_the_keyboard_and_a_click_on_the_time_axis(opened: PageInBrowser) -> None:
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
    page.locator("#player [data-band=observed] canvas").click()  # in its middle, a little left of that of the plot
    assert abs(opened.frame() - T / 2) < 5


def test_mirrored_and_root_relative_views_give_another_picture(opened: PageInBrowser) -> None:
    plain = opened.pixels("pose")
    opened.page.check("#player .mirror")
    mirrored = opened.pixels("pose")
    opened.page.check("#player .relative")
    assert len({plain, mirrored, opened.pixels("pose")}) == 3


def test_the_page_unpacks_what_was_packed(opened: PageInBrowser, both: Path, simulated: Path) -> None:
    name, box = opened.page.evaluate("[page.segments[0].name, page.segments[0].player.box]")
    motion = opened.page.evaluate(
        "unpack(page.segments[0].player).then("
        "(motion) => ({...motion, found: [...motion.found], x: [...motion.x], y: [...motion.y],"
        " depth: [...motion.depth]}))"
    )
    pose = read_pose(simulated / "train" / name, T)
    there = visible_mask(pose)
    assert np.array_equal(np.array(motion["found"]).reshape(T, 33) == 1, there)
    for axis, key in enumerate("xy"):
        places = np.array(motion[key]).reshape(T, 33)
        assert np.abs(places - pose[..., axis])[there].max() <= box[2] / 2 + 2e-5
    speeds = body_frame.part_speeds(pose[None])[0]
    unpacked = np.array(motion["speeds"], dtype=float)
    assert np.array_equal(np.isnan(unpacked), np.isnan(speeds))
    assert np.nanmax(np.abs(unpacked - speeds)) <= np.nanmax(speeds) / 254
    depth, trunk = np.array(motion["depth"]).reshape(T, 33), [11, 12, 23, 24]
    behind = (pose[..., 2] - pose[:, trunk, 2].mean(axis=1, keepdims=True)) / opened.page.evaluate(
        "page.segments[0].player.size"
    )
    near = there & (np.abs(behind) < DEEPEST)
    assert np.median(np.abs(depth - behind)[near]) < 2 * DEPTH_STEP  # smoothed over time, and in coarse steps
    assert sum(motion["attention"]) == pytest.approx(1)


def test_a_frame_without_a_pose_says_so(opened: PageInBrowser, simulated: Path) -> None:
    name, frame = next(
        (row["segment_name"], int(np.argmin(visible_mask(pose).any(axis=1))))
        for row in read_table(simulated / "train_data.csv", ("segment_name",))
        if not visible_mask(pose := read_pose(simulated / "train" / row["segment_name"], T)).any(axis=1).all()
        and visible_mask(pose).any()
    )
    opened.page.evaluate(f"main.show(page.segments.findIndex((segment) => segment.name === '{name}'))")
    opened.page.wait_for_selector(f"#player .player[data-segment='{name}']")
    opened.page.locator("#player .scrub").fill(str(frame))
    assert opened.page.locator("#player .lost").is_visible()
    assert "0 of 33 landmarks found" in opened.page.locator("#player .values").inner_text()


def test_the_player_loops_unless_it_is_switched_off(opened: PageInBrowser) -> None:
    page = opened.page
    assert page.is_checked("#player .loop")
    page.select_option("#player .rate", "2")
    page.locator("#player .scrub").fill(str(T - 10))
    page.click("#player .play")
    opened.until(f"+document.querySelector('#player .scrub').value < {T - 10}")
    assert "pause" in page.locator("#player .play").inner_text()


# ---- the body


def test_the_page_draws_the_tables_of_the_pictures_and_no_face(opened: PageInBrowser) -> None:
    tables = opened.page.evaluate("page.body")
    assert tables == json.loads(json.dumps(for_page()))
    assert not {point for part in tables["parts"] for point in part[2]} & set(FACE)


def test_outlines_and_colours_are_those_of_the_pictures(browser: Any, both: Path) -> None:
    for scheme, palette in (("light", LIGHT), ("dark", DARK)):
        seen = PageInBrowser(browser, both / "report.html", color_scheme=scheme)
        for name, value in (("body-middle", palette.middle), ("body-left", palette.left),
                            ("body-right", palette.right), ("paper", palette.paper),
                            ("faint", palette.missing)):  # fmt: skip
            assert seen.page.evaluate(f"colour('--{name}')") == value
        corners = seen.page.evaluate("convexHull([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [0.5, 0]])")
        assert sorted(corners) == [[0, 0], [0, 1], [1, 0], [1, 1]]
        seen.close()


# ---- the time strip


def test_the_strip_shows_the_probability_of_each_frame_from_0_to_1(opened: PageInBrowser) -> None:
    values = opened.page.evaluate("main.strip.probabilities")
    known = [value for value in values if value is not None]
    assert len(values) == T
    assert known
    assert all(0 <= value <= 1 for value in known)
    title = opened.page.locator("#player [data-band=probability] .band-title").inner_text()
    assert "before calibration" in title
    assert "frame probability" in opened.page.locator("#player .values").inner_text()


@pytest.mark.parametrize(("weight", "dimmed"), [(0.0, True), (0.04, True), (0.3, False)])
def test_a_network_of_little_weight_is_dimmed_and_its_weight_named(
    browser: Any, both: Path, tmp_path: Path, weight: float, dimmed: bool
) -> None:
    change = f"for model in data['networks']: model['weight'] = {weight}"
    seen = PageInBrowser(browser, changed_page(both, tmp_path, change))
    note = seen.page.locator("#player .network-note").inner_text().replace("\u00a0", " ")
    assert ("this model's weight in the prediction is 4 %" in note) == (weight == 0.04)
    assert ("has no weight in the prediction" in note) == (weight == 0)
    assert seen.page.locator("#player .dimmed").count() == (2 if dimmed else 0)
    seen.close()


def test_without_a_network_no_attention_is_shown(browser: Any, both: Path, tmp_path: Path) -> None:
    change = """
data['networks'] = []
for segment in data['segments']: segment['peak_s'] = None
"""
    seen = PageInBrowser(browser, changed_page(both, tmp_path, change))
    assert "No network takes part" in seen.page.locator("#player .network-note").inner_text()
    assert not seen.page.locator("#player [data-band=attention]").is_visible()
    assert seen.page.locator("#player [data-band=speed]").is_visible()
    seen.close()


def test_the_speed_axis_is_enlarged_where_almost_nothing_moves_and_says_so(
    browser: Any, both: Path, tmp_path: Path
) -> None:
    seen = PageInBrowser(browser, changed_page(both, tmp_path, "data['fastest'] *= 20"))
    assert "Almost nothing moves: enlarged" in seen.page.locator("#player [data-band=speed] .band-title").inner_text()
    assert seen.page.evaluate("main.strip.fastest") == pytest.approx(
        seen.page.evaluate("main.segment.player.speed"), abs=0.01
    )
    seen.close()


# ---- the reasons


def test_four_reasons_are_shown_and_the_others_unfold_by_keyboard(opened: PageInBrowser) -> None:
    page = opened.page
    row = page.evaluate("page.segments.findIndex((segment) => segment.reasons && segment.reasons.length > 5)")
    count = page.evaluate(f"page.segments[{row}].reasons.length")
    page.evaluate(f"main.go([{row}], 0)")
    opened.until(f"main.segment === page.segments[{row}] && document.querySelector('#player .reasons .more')")
    items = page.locator("#player .reasons li")
    assert sum(items.nth(number).is_visible() for number in range(items.count())) == 4
    more = page.locator("#player .more > summary")
    assert more.inner_text() == f"show {count - 4} more"
    more.focus()
    page.keyboard.press("Enter")
    assert sum(items.nth(number).is_visible() for number in range(items.count())) == count
    contributions = page.evaluate(f"page.segments[{row}].reasons.map((reason) => Math.abs(reason[4]))")
    assert contributions == sorted(contributions, reverse=True)


def test_the_numbers_of_a_reason_are_reached_by_keyboard(opened: PageInBrowser) -> None:
    reason = opened.page.locator("#player .reasons li").first
    text = reason.locator("summary").inner_text()
    assert re.search(r"(very |)(strongly|moderately|slightly|hardly) (for|against) a spasm$", text)
    assert "log-odds" not in text
    assert not reason.locator("p").is_visible()
    reason.locator("summary").focus()
    frame = opened.frame()
    opened.page.keyboard.press("Space")
    assert reason.locator("p").is_visible()
    assert re.search(r"Adds [+−]\d+\.\d\d to the log-odds of a spasm", reason.locator("p").inner_text())
    assert opened.frame() == frame  # it did not play


def test_the_prediction_stands_in_plain_words_with_the_models_beside_it(opened: PageInBrowser, both: Path) -> None:
    row = read_table(both / "oof.csv", ("segment_name", "probability", "label", "label_predicted"))
    by_name = {one["segment_name"]: one for one in row}
    name = opened.page.locator("#player .player").get_attribute("data-segment")
    found = by_name[name]
    labels, outcomes = ("no spasm", "spasm"), (("correct", "false alarm"), ("missed", "found"))
    true, predicted = int(found["label"]), int(found["label_predicted"])
    text = opened.page.locator("#player .summary").inner_text()
    assert text.startswith(f"Predicted: {labels[predicted]}, probability {float(found['probability']):.2f} (threshold ")
    assert text.endswith(f"true label: {labels[true]}: {outcomes[true][predicted]}")
    weights = files.read_json(both / "decision.json")["models"]
    assert opened.page.locator("#player .bars .bar").count() == 1 + len(weights)
    shown = opened.page.locator("#player .bar-name small").all_inner_texts()
    percents = [f"({100 * model['weight']:.0f}\u00a0%)" for model in weights.values()]
    assert all(text.endswith(percent) for text, percent in zip(shown, percents, strict=True))


# ---- on a phone


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_player_fits_and_its_text_can_be_read(browser: Any, both: Path, scheme: str) -> None:
    seen = PageInBrowser(browser, both / "report.html", viewport={"width": 390, "height": 844}, has_touch=True,
                         color_scheme=scheme)  # fmt: skip
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    small = """[...document.querySelectorAll('#player .player *')]
        .filter((e) => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 11).length"""
    assert seen.page.evaluate(small) == 0
    seen.page.locator("#player .reasons summary").first.tap()
    assert seen.page.locator("#player .reasons li p").first.is_visible()
    # Legends and titles stand outside the plots.
    outside = """[...document.querySelectorAll('#player .band')].every((band) => {
        const plot = band.querySelector('.plot-area').getBoundingClientRect();
        return [...band.querySelectorAll('p')].every((p) => p.getBoundingClientRect().bottom <= plot.top + 1); })"""
    assert seen.page.evaluate(outside)
    seen.page.locator("#player [data-band=speed] canvas").last.tap()
    assert abs(seen.frame() - T / 2) < 10
    assert seen.messages == []
    seen.close()
