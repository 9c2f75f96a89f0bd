"""The modules of the web page in a real browser: served under the page's policy, called from Python."""

import base64
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from helpers.site import policy
from spasm.export.site import PAGE

TYPES = {"Float32Array": "<f4", "Float64Array": "<f8", "Uint8Array": "u1"}
# Arrays travel as base64, since a list of 24,750 numbers takes a second; what is thrown travels as a value.
CALL = """async ([args, page]) => {
  const load = (name) => import(new URL(name, page).href);
  const kinds = {Float32Array, Float64Array, Uint8Array};
  const unpack = (value) => {
    if (Array.isArray(value)) return value.map(unpack);
    if (value === null || typeof value !== "object") return value;
    if (!value.array) return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, unpack(one)]));
    const bytes = Uint8Array.from(atob(value.data), (letter) => letter.charCodeAt(0));
    return new kinds[value.array](bytes.buffer);
  };
  const pack = (value) => {
    if (Array.isArray(value)) return value.map(pack);
    if (value === null || typeof value !== "object") return value;
    const kind = value.constructor.name;
    if (!kinds[kind]) return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, pack(one)]));
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    let letters = "";
    for (let at = 0; at < bytes.length; at += 32768) letters += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return {array: kind, data: btoa(letters)};
  };
  try {
    return pack(await RUN(load, ...unpack(args)));
  } catch (error) {
    if (!error.code || !error.values) throw error;
    return {problem: error.code, values: error.values};
  }
}"""


class Problem(Exception):
    """A PageProblem of the page."""

    def __init__(self, code: str, values: dict[str, Any]) -> None:
        super().__init__(code, values)
        self.code, self.values = code, values


class PageModules:
    """An empty page of the site, whose modules can be called."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page()
        self.address = address
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.goto(f"{address}empty.html")

    def run(self, function: str, *args: Any) -> Any:
        """What a JavaScript function (load, ...args) gives; load("core/npy.js") imports a module. Raises Problem."""
        found = self.page.evaluate(CALL.replace("RUN", f"({function})"), [_pack(args), self.address])
        if isinstance(found, dict) and "problem" in found:
            raise Problem(found["problem"], found["values"])
        return _unpack(found)

    def call(self, module: str, name: str, *args: Any) -> Any:
        """What a function of a module gives. Raises Problem."""
        return self.run(f"async (load, ...args) => (await load('{module}')).{name}(...args)", *args)

    def each(self, module: str, name: str, cases: Sequence[Sequence[Any]]) -> list[Any]:
        """What it gives for the arguments of each case. Raises Problem."""
        at = f"const at = await load('{module}')"
        return list(
            self.run(f"async (load, cases) => {{ {at}; return cases.map((one) => at.{name}(...one)); }}", cases)
        )


def _pack(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        kind = next(kind for kind, dtype in TYPES.items() if np.dtype(dtype) == value.dtype)
        return {"array": kind, "data": base64.b64encode(np.ascontiguousarray(value)).decode()}
    if isinstance(value, bytes):
        return _pack(np.frombuffer(value, np.uint8))
    if isinstance(value, (list, tuple)):
        return [_pack(one) for one in value]
    if isinstance(value, dict):
        return {name: _pack(one) for name, one in value.items()}
    return value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"array", "data"}:
        return np.frombuffer(base64.b64decode(value["data"]), TYPES[value["array"]])
    if isinstance(value, dict):
        return {name: _unpack(one) for name, one in value.items()}
    return [_unpack(one) for one in value] if isinstance(value, list) else value


class _Handler(SimpleHTTPRequestHandler):
    """Serves the page's files, and others by the first part of their path, under the policy of the page."""

    def __init__(self, *args: Any, folders: Mapping[str, Path]) -> None:
        self.folders = folders
        super().__init__(*args, directory=str(PAGE))

    def translate_path(self, path: str) -> str:
        first, _, rest = path.lstrip("/").partition("/")
        return str(self.folders[first] / rest) if first in self.folders else super().translate_path(path)

    def do_GET(self) -> None:
        if self.path != "/empty.html":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>modules</title>")

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", policy())
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def served(**folders: Path) -> Iterator[str]:
    """The address of a server of the page's files, and of `folders` by their names."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folders=folders)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
