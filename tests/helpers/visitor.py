"""A visitor of the page in a real browser, who sees its messages, its requests and its dialogs."""

import base64
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

WAIT_MS = 20_000


class Visitor:
    """The page of a built site. `modules`: JavaScript that replaces modules of the page, by their path."""

    def __init__(self, browser: Any, url: str, modules: Mapping[str, str] | None = None, **options: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, service_workers="block", **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.messages: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.messages.append(f"dialog {dialog.message}"), dialog.dismiss()))
        for path, source in (modules or {}).items():
            self.page.route(f"{url}{path}", self._fulfil(source))
        self.page.goto(url)
        self.page.wait_for_selector("#start h1:focus, #start h1:not(:empty)")

    def _note(self, message: Any) -> None:
        if "blocked by Playwright" not in message.text:  # of the service worker, which the context leaves out
            self.messages.append(message.text)

    @staticmethod
    def _fulfil(source: str) -> Any:
        return lambda route: route.fulfill(content_type="text/javascript", body=source)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def choose(self, file: Path | Mapping[str, Any]) -> None:
        """Choose a file by its path, or by {name, mimeType, buffer}."""
        self.page.set_input_files("#file", file if isinstance(file, Path) else dict(file))

    def drop(self, *names_contents: tuple[str, bytes]) -> None:
        """Drop files anywhere on the page."""
        files = self.page.evaluate_handle(
            """(files) => { const transfer = new DataTransfer();
            const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            for (const [name, text] of files) transfer.items.add(new File([bytes(text)], name));
            return transfer; }""",
            [(name, base64.b64encode(content).decode()) for name, content in names_contents],
        )
        self.page.dispatch_event("body", "drop", {"dataTransfer": files})

    def wait(self, view: str) -> None:
        """Wait until a view is shown: start, rate, consent, working, problem or result."""
        self.page.wait_for_selector(f"#{view}:not([hidden])")

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression holds; the page's policy forbids Playwright to wait inside it."""
        give_up = time.monotonic() + WAIT_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < give_up, expression
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """The text of an element as it is shown."""
        return self.page.inner_text(selector)

    def problem(self) -> list[str]:
        """The three parts of the message that is shown."""
        self.wait("problem")
        return [self.text(f"#{part}") for part in ("what", "where", "next")]

    def download(self, button: str) -> tuple[str, bytes]:
        """Name and content of what a button saves."""
        with self.page.expect_download() as saving:
            self.page.click(button)
        return saving.value.suggested_filename, Path(saving.value.path()).read_bytes()

    @property
    def time_s(self) -> float:
        """The time of the player."""
        return float(self.page.get_attribute("#plot", "aria-valuenow"))


def npy(poses: np.ndarray, name: str = "child.npy") -> dict[str, Any]:
    """A .npy file of poses for `Visitor.choose`."""
    buffer = io.BytesIO()
    np.save(buffer, poses)
    return {"name": name, "mimeType": "application/octet-stream", "buffer": buffer.getvalue()}
