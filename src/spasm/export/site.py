"""The files of the page: its own, those of three npm packages, the pose model and the network, as one folder."""

import gzip
import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.outputs import check_folder
from spasm.video.mediapipe_models import BUNDLES

PAGE = Path(__file__).with_name("page")
LIST = "files.js"
"""The list of the folder's files, which the service worker reads, and the mark of such a folder."""
LIST_START, LIST_END = "self.SITE = ", ";\n"
NOTICE = "vendor/NOTICE.txt"
POSE_MODEL = "model/pose_landmarker_lite.task"
NETWORK, MODEL_INFO = "model/network.onnx", "model/model.json"


@dataclass(frozen=True)
class Package:
    """An npm package: what of it the page needs, under which name."""

    name: str
    version: str
    sha256: str
    licence: str
    files: Mapping[str, str]
    """Path in the package: path in the folder."""

    @property
    def archive(self) -> str:
        """The file name that `npm pack` gives it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def wanted(self) -> str:
        return f"{self.name}@{self.version}"


PACKAGES = (
    Package(
        "@mediapipe/tasks-vision",
        "0.10.21",
        "343736570f433c0100ffc360dbe70f09cc502a5fc573f5cd95954692edc9cfde",
        "Apache-2.0, in licences/Apache-2.0.txt",
        {
            "vision_bundle.cjs": "vendor/tasks-vision/vision_bundle.js",  # servers know the type of .js
            "wasm/vision_wasm_internal.js": "vendor/tasks-vision/wasm/vision_wasm_internal.js",
            "wasm/vision_wasm_internal.wasm": "vendor/tasks-vision/wasm/vision_wasm_internal.wasm",
        },
    ),
    Package(
        "onnxruntime-web",
        "1.30.0",
        "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
        "MIT, in licences/MIT.txt",
        {
            f"dist/{name}": f"vendor/onnxruntime-web/{name}"
            for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        },
    ),
    Package(
        "mediabunny",
        "1.61.0",
        "2105c960b161cbfcba037c91527e73b89d5208e92d6fb64a14000e7addbe1a8f",
        "MPL-2.0, in vendor/mediabunny/LICENSE; source: https://github.com/Vanilagy/mediabunny",
        {
            "dist/bundles/mediabunny.min.mjs": "vendor/mediabunny/mediabunny.js",
            "LICENSE": "vendor/mediabunny/LICENSE",
        },
    ),
)
# MediaPipe's reader of normalized landmarks drops the fifth field of each, its presence, which Python's gives.
BUNDLE = "vendor/tasks-vision/vision_bundle.js"
WITHOUT_PRESENCE = b"for(const n of rn(t,hs,1))e.push({x:dn(n,1)??0,y:dn(n,2)??0,z:dn(n,3)??0,visibility:dn(n,4)??0})"
WITH_PRESENCE = WITHOUT_PRESENCE.replace(b"visibility:dn(n,4)??0", b"visibility:dn(n,4)??0,presence:dn(n,5)??0")
CHANGE = "changed: vision_bundle.js, where the reader of normalized landmarks also gives their field 5, `presence`"


def read_packages(folder: Path) -> dict[str, bytes]:
    """The files of the packages by their path in the page's folder. Raises DataError for another package, or none."""
    found: dict[str, bytes] = {}
    for package in PACKAGES:
        path = folder / package.archive
        hint = f"make web gets it; by hand: npm pack --pack-destination {folder} {package.wanted}"
        if not path.is_file():
            raise DataError(path, "is not there", hint)
        if files.sha256(path) != package.sha256:
            raise DataError(path, f"is not the package {package.wanted} that is expected", f"delete it; then {hint}")
        with tarfile.open(path, "r:gz") as archive:
            for name, target in package.files.items():
                content = archive.extractfile(f"package/{name}")
                found[target] = content.read() if content else b""
    found[BUNDLE] = with_presence(found[BUNDLE])
    found[NOTICE] = notice().encode()
    return found


def with_presence(bundle: bytes) -> bytes:
    """MediaPipe's JavaScript with the presence of each landmark. Raises DataError for another version of it."""
    if bundle.count(WITHOUT_PRESENCE) != 1:
        reason = "reads landmarks in another way than version 0.10.21, so that their presence cannot be added"
        raise DataError(BUNDLE, reason, "use the version that make web gets")
    return bundle.replace(WITHOUT_PRESENCE, WITH_PRESENCE)


def notice() -> str:
    """The packages with their licences, and what was changed, as Apache-2.0 asks for."""
    lines = ["Software of others in this folder:", ""]
    for package in PACKAGES:
        lines += [f"{package.name} {package.version}", f"  licence: {package.licence}"]
        if BUNDLE in package.files.values():
            lines += [f"  {CHANGE}"]
        lines += [f"  {target}" for target in package.files.values()]
    lines += ["MediaPipe's pose model, from @mediapipe/pose", "  licence: Apache-2.0, in licences/Apache-2.0.txt"]
    return "\n".join([*lines, f"  {POSE_MODEL}", ""])


def read_pose_model(path: Path) -> bytes:
    """MediaPipe's lite pose model. Raises DataError for another file, or one that is missing."""
    if not path.is_file():
        raise DataError(path, "is not there", "make pose-model builds it")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != BUNDLES["lite"]:
        reason = "is not the lite pose model, the one that is fast enough in a browser"
        raise DataError(path, reason, "make pose-model builds it as input/models/pose_landmarker_lite.task")
    return content


def page_files() -> dict[str, bytes]:
    """The page's own files by their path in the folder."""
    paths = sorted(path for path in PAGE.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in paths}


def file_list(content: Mapping[str, bytes]) -> bytes:
    """files.js: the sha256 and size of every other file, and a version that changes with any of them."""
    listed = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in sorted(content.items())
    }
    version = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
    return f"{LIST_START}{json.dumps({'version': version, 'files': listed}, indent=1)}{LIST_END}".encode()


def check_out(out: Path) -> None:
    """Raises DataError for a folder that holds something else than such a page."""
    files.remove_stale(out, below=False)  # of an export that was killed before it wrote its first file
    if out.is_dir() and any(out.iterdir()) and not (out / LIST).is_file():
        raise DataError(out, "holds other files; nothing was written", "choose a new or empty folder for --out")
    check_folder(out, mark=LIST)
    _listed(out)


def write(out: Path, content: Mapping[str, bytes]) -> None:
    """Write the folder, last its list. Files that only the page before it listed are deleted.

    A new folder has its list from the start: if the writing is stopped, the next export knows the folder as its own.
    """
    files.remove_stale(out)
    if not (out / LIST).exists():
        files.write_bytes(out / LIST, file_list(content))
    for name in _listed(out) - {*content}:
        (out / name).unlink(missing_ok=True)
    for name, data in content.items():
        files.write_bytes(out / name, data)
    files.write_bytes(out / LIST, file_list(content))


def _listed(out: Path) -> set[str]:
    """What the list of an older page in a folder names. Raises DataError if it is no such list."""
    if not (out / LIST).exists():
        return set()
    text = files.read_text(out / LIST, "a list of files", "choose a new or empty folder for --out")
    try:
        names = set(json.loads(text.removeprefix(LIST_START).removesuffix(LIST_END))["files"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(out / LIST, "is no list of this software", "choose a new or empty folder for --out") from error
    return {name for name in names if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts}


def sizes(content: Mapping[str, bytes]) -> list[tuple[str, int, int]]:
    """What a browser loads: (file or group of files, bytes, bytes compressed with gzip), the largest first."""
    groups: dict[str, list[bytes]] = {}
    for name, data in content.items():
        own = not name.startswith(("vendor/", "model/"))
        groups.setdefault("the page's own files" if own else name, []).append(data)
    rows = [
        (name, sum(map(len, parts)), sum(len(gzip.compress(data, 6, mtime=0)) for data in parts))
        for name, parts in groups.items()
    ]
    return sorted(rows, key=lambda row: -row[1])
