"""The page for browsers, written from a run by the real command and served by a server that notes each request."""

import functools
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.repository import ROOT
from helpers.video import MODEL
from spasm.export.site import PACKAGES, PAGE

NPM = ROOT / "input/models"


def policy() -> str:
    """The policy in the page's head."""
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', (PAGE / "index.html").read_text())
    assert found
    return found[1]


class Site:
    """A folder and its address, while it is served. sends_policy: with the headers that docs/browser.md asks for."""

    def __init__(self, folder: Path, port: int = 0, sends_policy: bool = True) -> None:
        self.folder = folder
        self.requests: list[str] = []
        requests = self.requests

        class Handler(http.server.SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                if sends_policy:
                    self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
                super().end_headers()

            def log_message(self, *_: Any) -> None:
                requests.append(self.path)

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    site = Site(folder)
    yield site
    site.stop()


def build(run: Path, out: Path) -> Path:
    """Write the page of a run, where the packages and the pose model are there; otherwise the test is skipped."""
    pytest.importorskip("onnxscript")
    if not MODEL.exists() or not all((NPM / package.archive).exists() for package in PACKAGES):
        pytest.skip("make pose-model web-packages gets what the page needs")
    command = [sys.executable, "src/export_web.py", "--run", str(run), "--out", str(out)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    (out.parent / "stdout").write_text(finished.stdout)
    return out


class VideoPage:
    """The served page in a browser, with its video modules at hand."""

    def __init__(self, context: Any, site: Site) -> None:
        self.page = context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        context.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(site.url)
        self.url = site.url
        self.page.evaluate("""() => {
            const input = Object.assign(document.createElement("input"), { type: "file", id: "test-file" });
            document.body.append(input);
        }""")

    def run(self, code: str, **values: Any) -> Any:
        """Run the body of an async function; in it `page(path)` imports a module of the page, `file` is the file."""
        body = f"(async (page, file, values) => {{ {code} }})(page, file, values)"
        return self.page.evaluate(
            """async ([url, values]) => {
                const page = (path) => import(new URL(path, url).href);
                const file = document.querySelector("#test-file").files[0];
                try {
                    return await BODY;
                } catch (error) {
                    return { problem: error.code ?? error.name, values: error.values ?? String(error) };
                }
            }""".replace("BODY", body),
            [self.url, values],
        )

    def analyse(self, video: Path, **options: Any) -> dict[str, Any]:
        """What analyseVideo gives for a file, or its problem."""
        self.page.set_input_files("#test-file", str(video))
        return self.run(
            """
            const { analyseVideo } = await page("video/video.js");
            let last = null;
            const pictures = [];
            const found = await analyseVideo(file, {
                ...values,
                onProgress: (progress) => { last = progress; },
                onPicture: (bitmap, timeS) => { pictures.push([bitmap.width, bitmap.height, timeS]); bitmap.close(); },
            });
            const detections = found.detections.map((people) => people.map((pose) => Array.from(pose)));
            return { ...found, timesS: Array.from(found.timesS), detections, last, pictures };
            """,
            **options,
        )
