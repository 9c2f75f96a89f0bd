"""The folder that export_web.py writes: what is in it, what is refused, and what a browser does with it."""

import hashlib
import http.server
import json
import re
import shutil
import subprocess
import time
from urllib.parse import urlsplit

import pytest

from helpers.browser import needs_browser
from helpers.repository import ROOT
from helpers.site import NPM, Site, VideoPage, policy
from helpers.video import cv2, make_video  # noqa: F401
from spasm.core import files
from spasm.core.errors import DataError
from spasm.export import site as files_of_site

KEPT = """async () => {
    const names = await caches.keys();
    const kept = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).length));
    const registration = await navigator.serviceWorker.ready;
    return { names, kept, active: registration.active?.state };
}"""


def listed(folder):
    text = (folder / "files.js").read_text()
    return json.loads(text.removeprefix("self.SITE = ").removesuffix(";\n"))


# ---- the folder


def test_the_list_names_every_file_with_its_sha256(site):
    found = {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*") if path.is_file()}
    names = listed(site.folder)["files"]
    assert found == {*names, "files.js"}
    for name, one in names.items():
        content = (site.folder / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (one["sha256"], one["bytes"])


def test_every_module_that_a_file_of_the_page_names_is_in_the_folder(site):
    for path in [path for path in site.folder.rglob("*.js") if "vendor" not in path.parts]:
        for name in re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", path.read_text()):
            assert (path.parent / name).is_file(), f"{path.name} names {name}"
    page = (site.folder / "index.html").read_text()
    for name in re.findall(r"""(?:src|href)="([^"#:]+)\"""", page):
        assert (site.folder / name).is_file(), name


def test_the_page_names_no_address_outside_its_folder():
    for path in files_of_site.PAGE.rglob("*"):
        if path.suffix in (".js", ".html", ".css", ".webmanifest", ".svg"):
            addresses = set(re.findall(r"(?:https?|wss?)://\w[^\s\"'`<>)]+", path.read_text()))
            assert addresses <= {"http://www.w3.org/2000/svg"}, path


def test_the_licences_and_the_change_to_mediapipe_are_stated(site):
    notice = (site.folder / "vendor/NOTICE.txt").read_text()
    for package in files_of_site.PACKAGES:
        assert f"{package.name} {package.version}" in notice
    assert "presence" in notice
    assert "Apache License" in (site.folder / "licences/Apache-2.0.txt").read_text()
    assert "Mozilla Public License" in (site.folder / "vendor/mediabunny/LICENSE").read_text()


def test_the_command_prints_what_a_browser_loads_and_how_to_look_at_it(site):
    printed = (site.folder.parent / "stdout").read_text()
    assert "ort-wasm-simd-threaded.wasm" in printed and "compressed  in all" in printed
    assert "next:    python -m http.server --bind 127.0.0.1 --directory" in printed
    assert "SIMULATED" in printed


def test_pythons_own_server_gives_the_types_that_browsers_demand(site):
    types = http.server.SimpleHTTPRequestHandler
    handler = types.__new__(types)
    for name in listed(site.folder)["files"]:
        given = handler.guess_type(name)
        if name.endswith((".js", ".mjs")):
            assert given in ("text/javascript", "application/javascript"), name
        if name.endswith(".wasm"):
            assert given == "application/wasm"


def test_the_documented_header_is_the_policy_of_the_page():
    text = (ROOT / "docs/browser.md").read_text(encoding="utf-8")
    assert f"\"{policy()}; frame-ancestors 'none'\"" in text
    assert "'unsafe-inline'" not in policy() and "'unsafe-eval'" not in policy()
    assert not re.search(r"https?:|\*", policy())


def test_the_sizes_in_the_documentation_are_those_of_the_folder(site):
    text = (ROOT / "docs/browser.md").read_text(encoding="utf-8")
    for path in site.folder.rglob("*.wasm"):
        assert f"| {path.name} | {path.stat().st_size / 1e6:.1f} |" in text


# ---- what is refused


def test_another_package_than_the_pinned_one_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"tasks-vision-0.10.21.tgz: is not there \(make web gets it"):
        files_of_site.read_packages(tmp_path)
    (tmp_path / files_of_site.PACKAGES[0].archive).write_bytes(b"another")
    with pytest.raises(DataError, match=r"is not the package @mediapipe/tasks-vision@0\.10\.21 that is expected"):
        files_of_site.read_packages(tmp_path)


def test_presence_is_added_at_exactly_one_place_of_mediapipe():
    once = b"head;" + files_of_site.WITHOUT_PRESENCE + b";tail"
    assert b"visibility:dn(n,4)??0,presence:dn(n,5)??0})" in files_of_site.with_presence(once)
    for other in (b"head;tail", once + once):
        with pytest.raises(DataError, match="reads landmarks in another way"):
            files_of_site.with_presence(other)


def test_another_pose_model_is_refused(tmp_path):
    (tmp_path / "other.task").write_bytes(b"another")
    for name, reason in (("other.task", "is not the lite pose model"), ("none.task", "is not there")):
        with pytest.raises(DataError, match=reason):
            files_of_site.read_pose_model(tmp_path / name)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files; nothing was written"):
        files_of_site.check_out(tmp_path)
    (tmp_path / "files.js").write_text("alert(1)")
    with pytest.raises(DataError, match="is no list of this software"):
        files_of_site.check_out(tmp_path)


def test_a_second_export_gives_the_same_bytes_and_removes_only_what_the_first_listed(tmp_path):
    out = tmp_path / "web"
    files_of_site.write(out, {"a.js": b"1", "old/b.js": b"2"})
    (out / "of_the_user.txt").write_text("mine")
    first = (out / "files.js").read_bytes()
    files_of_site.check_out(out)
    files_of_site.write(out, {"a.js": b"1"})
    assert not (out / "old/b.js").exists() and (out / "of_the_user.txt").exists()
    assert (out / "files.js").read_bytes() != first
    files_of_site.write(out, {"a.js": b"1", "old/b.js": b"2"})
    assert (out / "files.js").read_bytes() == first


def test_an_export_that_was_stopped_in_the_middle_can_be_run_again(tmp_path, monkeypatch):
    out, write_bytes = tmp_path / "web", files.write_bytes

    def stop(path, content):
        if path.name == "b.js":
            raise KeyboardInterrupt
        write_bytes(path, content)

    monkeypatch.setattr(files, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        files_of_site.write(out, {"a.js": b"1", "b.js": b"2"})
    monkeypatch.undo()
    assert (out / "a.js").exists()
    files_of_site.check_out(out)
    files_of_site.write(out, {"b.js": b"2"})
    assert not (out / "a.js").exists() and (out / "b.js").read_bytes() == b"2"


def test_what_a_killed_export_left_half_written_is_removed(tmp_path):
    out, ended = tmp_path / "web", subprocess.Popen(["true"])
    ended.wait()
    left = [out / folder / f".tmp-{ended.pid}-{files.HOST}-0123abcd" for folder in (".", "vendor")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        if path == left[0]:
            files_of_site.check_out(out)  # the folder holds no page yet, and nothing else
            assert not path.exists()
    files_of_site.write(out, {"vendor/a.js": b"1"})
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["a.js", "files.js"]


def test_a_list_cannot_name_files_outside_its_folder(tmp_path):
    out = tmp_path / "web"
    out.mkdir()
    (tmp_path / "precious").write_text("mine")
    hostile = {"version": "0", "files": {"../precious": {}, str(tmp_path / "precious"): {}}}
    (out / "files.js").write_text(f"self.SITE = {json.dumps(hostile)};\n")
    files_of_site.write(out, {"a.js": b"1"})
    assert (tmp_path / "precious").read_text() == "mine"


# ---- in a browser


@pytest.fixture
def copy(site, tmp_path):
    """The page in a folder and on a server of its own."""
    copied = Site(shutil.copytree(site.folder, tmp_path / "copy"))
    yield copied
    copied.stop()


@pytest.fixture
def elsewhere():
    """A proxy that notes what a browser asks for outside its own machine."""
    proxy = Site(NPM)
    yield proxy
    proxy.stop()


def wait_until_kept(page):
    give_up = time.monotonic() + 120
    while (found := page.evaluate(KEPT))["active"] != "activated":
        assert time.monotonic() < give_up, found
        time.sleep(0.2)
    return found


@needs_browser
def test_the_page_works_without_a_server_and_asks_for_nothing_outside_its_folder(
    browser, copy, elsewhere, make_video  # noqa: F811
):  # fmt: skip
    video = make_video("child_9_1.webm", fps=10, seconds=1.0, size=(320, 240))
    context = browser.new_context(proxy={"server": elsewhere.url, "bypass": "127.0.0.1"})
    page = VideoPage(context, copy)
    kept = wait_until_kept(page.page)
    assert kept["kept"] == [len(listed(copy.folder)["files"])]
    copy.stop()
    page.page.reload()
    page.page.wait_for_selector("h1")
    page = VideoPage(context, copy)  # a new page, from what was kept
    found = page.analyse(video)
    assert len(found["detections"]) == 10 and all(found["detections"])
    info = page.run("""
        const { openPredictor } = await page("core/prediction.js");
        const at = (path) => new URL(path, location.href).href;
        const ortUrl = at("vendor/onnxruntime-web/ort.wasm.min.mjs");
        const modelUrl = at("model/network.onnx");
        return (await openPredictor({ modelUrl, infoUrl: at("model/model.json"), ortUrl })).info;
    """)  # fmt: skip
    assert info["simulated"] is True
    refused = page.run("""
        const results = [];
        for (const address of ["http://example.org/", "not_listed.json", "index.html"]) {
            results.push(await fetch(address).then((response) => response.ok, () => false));
        }
        return results;
    """)
    assert refused == [False, False, True]
    hosts = {urlsplit(url).netloc for url in page.requests if urlsplit(url).scheme.startswith("http")}
    assert hosts <= {f"127.0.0.1:{copy.port}", "example.org"}
    assert elsewhere.requests == []
    context.close()


ASK = """async (address) => {
    const socket = new Promise((resolve) => {
        try {
            const made = new WebSocket(address.replace("http", "ws"));
            made.onopen = made.onerror = resolve;
        } catch { resolve(); }
    });
    await Promise.all([socket, fetch(address, { mode: "no-cors" }).catch(() => {}), import(address).catch(() => {})]);
}"""


@needs_browser
def test_no_worker_asks_another_server_even_at_the_first_visit_to_a_server_that_sends_no_policy(
    browser, site, elsewhere, make_video  # noqa: F811
):  # fmt: skip
    video = make_video("child_8_1.webm", fps=10, seconds=1.0, size=(320, 240))
    plain = Site(site.folder, sends_policy=False)
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(plain.url)
    page.set_input_files("#file", str(video))
    asked = set()
    give_up = time.monotonic() + 60
    while len(asked) < 2:  # the worker of the network and one of the pose model
        assert time.monotonic() < give_up, page.workers
        page.wait_for_timeout(50)
        for worker in set(page.workers) - asked:
            worker.evaluate(ASK, f"{elsewhere.url}asked")
            asked.add(worker)
    page.wait_for_selector("#result:not([hidden])", timeout=60_000)
    assert elsewhere.requests == []
    context.close()
    plain.stop()


@needs_browser
def test_a_new_version_replaces_the_old_one_whole(browser, copy):
    context = browser.new_context()
    page = VideoPage(context, copy).page
    old = wait_until_kept(page)
    content = {name: (copy.folder / name).read_bytes() for name in listed(copy.folder)["files"]}
    content["style.css"] += b"\nbody { --version: 2; }\n"
    files_of_site.write(copy.folder, content)
    page.evaluate("navigator.serviceWorker.getRegistration().then((registration) => registration.update())")
    give_up = time.monotonic() + 60
    while not page.evaluate("navigator.serviceWorker.getRegistration().then((found) => Boolean(found.waiting))"):
        assert time.monotonic() < give_up
        time.sleep(0.2)
    style = "fetch('style.css').then((response) => response.text()).then((text) => text.includes('--version'))"
    assert page.evaluate(style) is False  # an open page keeps the files that it began with
    page.close()
    time.sleep(1)
    page = context.new_page()
    page.goto(copy.url)
    give_up = time.monotonic() + 60
    while page.evaluate(KEPT)["names"] == old["names"] or len(page.evaluate(KEPT)["names"]) > 1:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    assert page.evaluate(style) is True
    context.close()
