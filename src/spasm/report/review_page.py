"""The page with which a clinician reviews the detected events of one recording: one file that asks for no other.

Everything that comes from files goes through Jinja2's escaping or into JSON without `<`; the page's policy forbids all
scripts but its own and every request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from spasm.core import files
from spasm.core.errors import printable
from spasm.data.landmarks import LANDMARKS, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import FPS
from spasm.data.recordings import is_simulated
from spasm.features.recording_motion import fastest_in_steps
from spasm.inference.event_detection import STEP_FRAMES, Event, Rule, Windows, event_level
from spasm.inference.recording_summary import length, seen_of
from spasm.report.body_drawing import for_page
from spasm.report.payload import aspect_of, to_json
from spasm.report.player_data import DEPTH_STEP
from spasm.report.review_data import Packed, pack_recording
from spasm.report.templates import read_asset, render
from spasm.report.timeline_plots import describe_rule
from spasm.runs.artefacts import DataInfo, Decision

SCRIPTS = (
    "page_data.js", "body.js", "poses.js", "review_series.js", "review_events.js", "review_csv.js", "review_strip.js",
    "review_player.js", "review.js",
)  # fmt: skip
STYLES = ("report.css", "player.css", "review.css")


def write_pages(
    out: Path,
    predicted: Mapping[Path, Windows],
    detected: Mapping[Path, Sequence[Event]],
    rules: Mapping[Path, Rule],
    names: Mapping[Path, str],
    decision: Decision,
) -> list[Path]:
    """Write the page of each recording into its folder, with its name; the paths. Raises DataError, SettingsError."""
    pages = [out / path.stem / "review.html" for path in predicted]
    for page, (path, windows) in zip(pages, predicted.items(), strict=True):
        speeds = fastest_in_steps(path, windows.frames, STEP_FRAMES)
        packed = pack_recording(path, windows, detected[path], speeds, aspect_of(decision))
        html = review_page(path, names[path], windows, packed, rules[path], decision.data, aspect_of(decision))
        files.write_text(page, html)
    return pages


def review_page(
    path: Path, name: str, windows: Windows, packed: Packed, rule: Rule, data: DataInfo, aspect: float = 1.0
) -> str:
    """The page of one recording as HTML; name: of the recording, as the user knows it; data: that of the run.

    Raises SettingsError where Jinja2 is not installed.
    """
    script = "".join(map(read_asset, SCRIPTS))
    payload = {
        "recording": printable(path.name),
        "fingerprint": packed.fingerprint,
        "frames": windows.frames,
        "fps": FPS,
        "aspect": aspect,
        "landmarks": list(LANDMARKS),
        "body": for_page(),
        "depth_step": DEPTH_STEP,
        "hips": [LEFT_HIP, RIGHT_HIP],
        "trunk": [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP],
        "level": round(event_level(rule), 4),
        **packed.tree,
    }
    context = {
        "name": printable(name),
        "simulated": _simulated(data.simulated, is_simulated(path)),
        "seen": _seen(windows),
        "rule": describe_rule(rule, windows.window_s).capitalize(),
        "trained_on": f"{data.segments} segments of {data.children} children",
        "payload": to_json(payload),
        "style": "".join(map(read_asset, STYLES)),
        "script": script,
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return render("review.html", context)


def _simulated(run: bool, recording: bool) -> str:
    """What of the page is simulated, as a sentence; empty where nothing is."""
    if run:
        child = "so is this child" if recording else "no probability here is valid for a real child"
        return f"the run was trained on simulated children; {child}."
    return "this recording is of a simulated child." if recording else ""


def _seen(windows: Windows) -> str:
    """How much of a recording has a probability, in words."""
    seen = f"{seen_of(windows.total_seen_s, windows.duration_s)} seen"
    if windows.is_seen.all():
        return seen
    return f"{seen}; {length(windows.duration_s - windows.total_seen_s)} in grey can hold events that nothing can find"
