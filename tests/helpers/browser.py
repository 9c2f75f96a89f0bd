"""Pages in a real browser, opened as files."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium")
REPORT_IS_READY = "#player .player[data-segment]"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run", "--disable-features=AutofillServerCommunication"]  # fmt: skip


class PageInBrowser:
    """A page that was opened as a file, with its messages and its requests."""

    def __init__(self, browser: Any, path: Path, ready: str = REPORT_IS_READY, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: self.messages.append(f"dialog {dialog.message}"))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(ready)

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
