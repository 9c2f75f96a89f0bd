"""Every way through the page: keyboard, problems, odd files, other texts, print; and that nothing is stored."""

import json
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from helpers.browser import needs_browser
from helpers.repository import SOURCE
from helpers.visitor import Visitor, npy
from spasm.data.landmarks import LANDMARKS

pytestmark = needs_browser
PAGE = SOURCE / "spasm" / "export" / "page"
DOCTOR = "A child with suspected spasms needs a doctor and an EEG, today."
SIMULATED = "SIMULATED: trained on simulated children only; says nothing about a real child."
HOSTILE = (
    "<img src=x onerror=alert(1)>.npy",
    '"><script>alert(2)</script>.npy',
    "=cmd|' /C calc'!A0.npy",
    "a" * 180 + ".npy",
)
FROM_POSE_MODEL = re.compile(r"^[IW]\d{4} |Graph successfully|TensorFlow Lite")  # what MediaPipe reports as it starts
CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (colour) => parts(colour).slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
  };
  const hasText = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const shown = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && hasText(one));
  return shown.map((one) => {
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), one.textContent.slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
}"""
UNNAMED = """() => {
  const controls = [...document.querySelectorAll("button, input, select, canvas, [role=slider], summary")];
  const name = (one) => one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.[0]?.textContent.trim();
  return controls.filter((one) => one.checkVisibility() && !one.closest("[role=slider] *") && !name(one))
    .map((one) => one.outerHTML);
}"""
OWN_TEXT = """() => {
  const places = [...document.querySelectorAll("main *, #always *, #printout *")];
  const own = places.filter((one) => !one.closest("[hidden], #model, tbody, .facts, pre, .warning"));
  return own.flatMap((one) => [...one.childNodes]).filter((node) => node.nodeType === 3 && /[a-z]{3}/i.test(node.data))
    .map((node) => node.data);
}"""
A_DAY = """async () => {
  const { drawPlot, PRINT_COLOURS } = await import(new URL("ui/plot.js", document.baseURI).href);
  const curve = new Float32Array(864000).fill(0.02), attention = new Float32Array(2592000);
  curve[500000] = 0.97;
  const endsS = Float64Array.from({ length: 86396 }, (_, k) => k + 5);
  const windows = { endsS, probability: new Float64Array(86396) };
  const prediction = { durationS: 86400, curve, attention, mostAttention: 0, windows, windowS: 5, events: [] };
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 1000, height: 240 });
  const pen = canvas.getContext("2d"), began = performance.now();
  drawPlot(pen, 1000, 240, { ...prediction, threshold: 0.5 }, 0, 86400, PRINT_COLOURS);
  const took = performance.now() - began, x = Math.round(40 + (950 * 50000) / 86400);
  const isDark = (at) => {
    const pixels = pen.getImageData(at - 2, 25, 5, 20).data;
    return pixels.some((value, k) => k % 4 === 3 && value > 200 && pixels[k - 1] < 60);
  };
  return [took, isDark(x), isDark(x - 60)];
}"""
REFUSE_CAMERA = """() => {
  navigator.mediaDevices.getUserMedia = async () => {
    window.asked = true;
    throw new DOMException("", "NotAllowedError");
  };
}"""


@pytest.fixture(scope="module")
def poses(simulated):
    paths = sorted((simulated / "train").glob("*.npy"))[:6]
    return np.concatenate([np.load(path) for path in paths]).astype(np.float32)


@pytest.fixture
def visitor(browser, site):
    with Visitor(browser, site.url) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def texts(browser, site):
    """The texts of texts.js."""
    with Visitor(browser, site.url) as visitor:
        return visitor.page.evaluate("async () => (await import(new URL('texts.js', document.baseURI).href)).texts")


# ---- from start to file, and what is left behind


def test_by_keyboard_alone_from_start_to_the_saved_table(visitor, poses):
    page = visitor.page

    def tab_to(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to("#start [data-act=choose]")
    with page.expect_file_chooser() as chooser:
        page.wait_for_timeout(200)  # until Playwright has taken the place of the chooser
        page.keyboard.press("Enter")
    chooser.value.set_files(npy(poses))
    visitor.wait("result")
    assert page.evaluate("document.activeElement.id") == "result-heading"
    assert visitor.page.text_content("#live").startswith("Result: ")
    tab_to("#play")
    tab_to("#plot")
    page.keyboard.press("End")
    page.keyboard.press("PageUp")
    assert page.locator("#event-list [aria-current]").count() == 1
    tab_to("#save-csv")
    with page.expect_download() as saving:
        page.keyboard.press("Enter")
    lines = Path(saving.value.path()).read_text().splitlines()
    assert lines[0].endswith(",simulated") and len(lines) > 1 and all(line.endswith(",yes") for line in lines[1:])
    assert visitor.text("#saving") == "Saved child_events.csv."


def test_the_doctor_and_the_training_stand_in_every_view_and_the_printout(visitor, poses):
    for view, act in (("start", lambda: None), ("consent", lambda: visitor.page.click("#start [data-act=camera]")),
                      ("result", lambda: visitor.choose(npy(poses)))):  # fmt: skip
        act()
        visitor.wait(view)
        assert visitor.text("#always").split("\n\n") == [SIMULATED, DOCTOR], view
        visitor.page.mouse.wheel(0, 4000)
        visitor.page.wait_for_timeout(50)
        assert visitor.page.evaluate("document.querySelector('#doctor').getBoundingClientRect().top") < 80, (
            "always in view"
        )
        red = visitor.page.evaluate("getComputedStyle(document.querySelector('#simulated')).backgroundColor")
        assert red == "rgb(176, 0, 32)"
    pdf = visitor.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", pdf)) == 1
    visitor.page.emulate_media(media="print")
    printed = visitor.text("#printout")
    assert printed.startswith(SIMULATED) and DOCTOR in printed and "child.npy" in printed and "Remarks" in printed
    assert (
        visitor.page.evaluate("getComputedStyle(document.querySelector('#printout .stamp')).color") == "rgb(176, 0, 32)"
    )
    assert not visitor.page.locator("#result").is_visible() and not visitor.page.locator("#always").is_visible()
    assert visitor.page.locator("#printout figure canvas").count() > 0


def test_a_printout_with_many_moments_is_still_one_page(visitor, poses, site):
    info = json.loads((site.folder / "model/model.json").read_text())
    rule = info["rule"] | {"sum_threshold": 0.001, "refractory_s": 0.0}
    visitor.page.route("**/model.json", lambda route: route.fulfill(json=info | {"threshold": 0.001, "rule": rule}))
    visitor.page.reload()
    visitor.choose(npy(np.concatenate([poses] * 8), f"{'long name ' * 12}.npy"))
    visitor.wait("result")
    assert visitor.page.locator("#event-list button").count() > 12
    assert "more moments are in the CSV file" in visitor.page.text_content("#printout")
    assert visitor.page.locator("#printout figure").count() == 4
    assert visitor.page.locator("#printout tbody tr").count() == 8
    assert len(re.findall(rb"/Type\s*/Page[^s]", visitor.page.pdf(prefer_css_page_size=True))) == 1


def test_nothing_is_stored_sent_elsewhere_or_written_to_the_console(visitor, poses, site):
    requests = []
    visitor.page.on("request", lambda request: requests.append(request.url))
    visitor.page.reload()
    visitor.choose(npy(poses))
    visitor.wait("result")
    name, content = visitor.download("#save-poses")
    assert name == "child_poses.npy"
    assert content[:6] == b"\x93NUMPY" and content.endswith(poses[-1].tobytes())
    stored = visitor.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert stored == [0, 0, ""] and visitor.page.evaluate("indexedDB.databases()") == []
    assert requests and all(url.startswith((site.url, "blob:")) for url in requests)
    assert visitor.messages == []


# ---- problems


def test_a_file_name_is_only_text(visitor, poses):
    for name in HOSTILE:
        visitor.drop((name, npy(poses)["buffer"]))
        visitor.wait("result")
        assert visitor.text("#result-heading") == f"Result for {name}"
        assert name[:50] in visitor.page.text_content("#printout")
        visitor.drop((name, b"broken"))
        assert name[:20] in visitor.problem()[1]
        assert visitor.page.locator("main img, main script, #printout img, #printout script").count() == 0
    assert visitor.messages == []


def test_after_each_wrong_file_another_can_be_chosen(visitor, poses):
    whole = npy(poses)["buffer"]
    wrong = {
        "cut.npy": (whole[:-100], "cut short"), "empty.npy": (b"", "empty"), "text.npy": (b"hello", "no .npy file"),
        "pickle.npy": (pickle.dumps({"poses": 1}), "Python objects"),
        "flat.npy": (npy(np.zeros((10, 7), np.float32))["buffer"], "another shape"),
        "pixels.npy": (npy(poses * 640)["buffer"], "in pixels"), "noise.mp4": (b"\0" * 4000, "no video"),
    }  # fmt: skip
    for name, (content, words) in wrong.items():
        visitor.drop((name, content))
        visitor.until(f"document.querySelector('#what').textContent.includes({words!r})")
        what, where, following = visitor.problem()
        assert name in where and what.endswith(".") and len(following) > 10
        assert not re.search(r"\{\w+\}", what + where + following)
        assert visitor.page.evaluate("document.activeElement.id") == "problem-heading"
    visitor.drop(("a.npy", whole), ("b.npy", whole))
    assert "Several files" in visitor.problem()[0]
    visitor.drop(("a.npy", whole))
    visitor.wait("result")
    assert [message for message in visitor.messages if not FROM_POSE_MODEL.search(message)] == []


def test_a_table_asks_for_its_frames_per_second(visitor, poses):
    header = ",".join(f"{name}_{axis}" for name in LANDMARKS for axis in ("x", "y", "z", "visibility"))
    rows = [",".join(f"{value:.5f}" for value in pose[:, :4].ravel()) for pose in np.nan_to_num(poses[:90], nan=0.5)]
    visitor.drop(("walk.csv", "\n".join([header, *rows]).encode()))
    visitor.wait("rate")
    assert visitor.text("#rate-what").startswith("walk.csv does not say")
    visitor.page.fill("#fps", "0")
    visitor.page.keyboard.press("Enter")
    assert visitor.text("#rate-invalid") == "Enter a number from 1 to 1000."
    visitor.page.fill("#fps", "15")
    visitor.page.keyboard.press("Enter")
    visitor.wait("result")
    assert " of 6 s" in visitor.text("#words") or "whole time, 6 s" in visitor.text("#words")
    frames = [
        [{"x": float(x), "y": float(y), "z": float(z), "visibility": 1} for x, y, z in pose[:, :3]]
        for pose in np.nan_to_num(poses[:90], nan=0.5)
    ]
    visitor.drop(("walk.json", json.dumps(frames).encode()))
    visitor.wait("rate")
    visitor.page.click("#rate [type=submit]")
    visitor.page.wait_for_selector("#result:not([hidden]), #problem:not([hidden])")
    assert visitor.page.locator("#result").is_visible(), visitor.text("#problem")


def test_an_unknown_error_is_a_message_and_never_a_blank_page(browser, site, poses):
    broken = "export async function readPoseFile() { throw new TypeError('no such thing'); }"
    with Visitor(browser, site.url, {"core/pose_file.js": broken}) as visitor:
        visitor.choose(npy(poses))
        what, where, following = visitor.problem()
        assert what == "Something went wrong while the file was read."
        assert where == "In child.npy; the file was not changed." and following.startswith("Try again")
        assert "no such thing" in visitor.page.text_content("#technical")
    with Visitor(browser, site.url) as visitor:
        visitor.page.evaluate("() => { setTimeout(() => { throw new Error('late'); }); }")
        assert visitor.problem()[0].startswith("Something went wrong")


def test_a_missing_model_is_named_at_once(visitor):
    visitor.page.route("**/model.json", lambda route: route.fulfill(status=404))
    visitor.page.reload()
    what, where, _ = visitor.problem()
    assert "did not load" in what and "model.json" in where and "404" in where


def test_the_camera_asks_first_and_a_refusal_is_a_message(visitor):
    visitor.page.evaluate(REFUSE_CAMERA)
    visitor.page.click("#start [data-act=camera]")
    visitor.wait("consent")
    assert "No picture is kept and nothing is sent" in visitor.text("#consent")
    assert visitor.page.evaluate("window.asked") is None
    visitor.page.click("[data-act=allow]")
    assert visitor.problem()[0] == "The browser did not allow the camera."
    assert visitor.page.evaluate("window.asked")


# ---- texts


def test_every_problem_that_the_page_throws_has_its_three_parts(texts):
    sources = {
        path: path.read_text(encoding="utf-8")
        for folder in ("core", "video", "ui")
        for path in (PAGE / folder).glob("*.js")
    }
    sources[PAGE / "app.js"] = (PAGE / "app.js").read_text(encoding="utf-8")
    thrown = {
        code
        for source in sources.values()
        for line in re.findall(r"(?:PageProblem\(|code: |REFUSALS = ).*", source)
        for code in re.findall(r'"([a-z]+[A-Z]\w*|codec)"', line)
    }
    assert len(thrown) > 45 and thrown == set(texts["problems"])
    for code, parts in texts["problems"].items():
        assert set(parts) == {"what", "where", "next"} and all(len(part) > 4 for part in parts.values()), code
        for name in re.findall(r"\{(\w+)\}", " ".join(parts.values())):
            assert any(re.search(rf"\b{name}\b", source) for source in sources.values()), (code, name)


def test_the_html_has_no_text_of_its_own_and_no_inline_code(texts):
    texts_of_html = []

    class Reader(HTMLParser):
        inside = ""

        def handle_starttag(self, tag, attributes):
            self.inside = tag if tag in ("noscript", "script", "style") else self.inside
            for name, value in attributes:
                assert name != "style" and not name.startswith("on"), (tag, name)
                assert name not in ("alt", "title", "aria-label", "placeholder"), (tag, name)
                if name in ("data-text", "data-label"):
                    found = texts
                    for key in value.split("."):
                        found = found[key]
                    assert isinstance(found, str), value
            assert tag != "style"

        def handle_endtag(self, tag):
            self.inside = "" if tag == self.inside else self.inside

        def handle_data(self, data):
            if data.strip() and self.inside != "noscript":
                texts_of_html.append(data)

    Reader().feed((PAGE / "index.html").read_text(encoding="utf-8"))
    assert texts_of_html == []
    for path in [PAGE / "app.js", *(PAGE / "ui").glob("*.js")]:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|localStorage|indexedDB|document\.cookie|\beval\(", path.read_text()
        ), path


def test_a_translation_changes_language_direction_and_every_text(browser, site, poses):
    source = (site.folder / "texts.js").read_text(encoding="utf-8")
    translated = source.replace('language = "en"', 'language = "ar"').replace('direction = "ltr"', 'direction = "rtl"')
    translated = re.sub(r'(: )"((?:[^"\\]|\\.)*)"', r'\1"§\2"', translated)
    with Visitor(browser, site.url, {"texts.js": translated}) as visitor:
        visitor.choose(npy(poses))
        visitor.wait("result")
        assert visitor.page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["ar", "rtl"]
        shown = visitor.page.evaluate(OWN_TEXT)
        assert [text for text in shown if "§" not in text] == []
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ---- how it looks and reads


def test_contrast_names_and_width_in_every_view_light_and_dark_narrow_and_wide(visitor, poses):
    page = visitor.page

    def check(view):
        visitor.wait(view)
        for width, scheme in ((390, "dark"), (390, "light"), (768, "light"), (1280, "dark"), (1280, "light")):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CONTRAST) == [], (view, width, scheme)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (view, width)
        assert page.evaluate(UNNAMED) == [], view
        assert page.locator("h1:visible").count() == 1, view

    page.click("summary >> nth=0")
    check("start")
    visitor.choose({"name": "x.csv", "mimeType": "text/csv", "buffer": b"x"})
    check("rate")
    page.click("#rate [type=submit]")
    check("problem")
    visitor.choose(npy(poses))
    visitor.wait("result")
    page.click("#table summary")
    check("result")


def test_a_recording_of_a_day_is_plotted_without_losing_a_moment(visitor):
    found = visitor.page.evaluate(A_DAY)
    assert found[1:] == [True, False]
    assert found[0] < 2000
