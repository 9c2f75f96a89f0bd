"""Scripts run as a user would, or in this process."""

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from helpers.processes import wait_until
from helpers.repository import ROOT
from spasm.cli import app

T = 60
# Each script, and what in it knows its flags.
SCRIPTS = {
    "train_folds": ("src/train_folds.py", "flags"),
    "submission": ("submission.py", "Submission"),
    "robustness": ("src/robustness.py", "Robustness"),
    "timeline": ("src/timeline.py", "Timeline"),
    "report": ("src/report.py", "Report"),
    "evaluate": ("src/evaluate.py", "Evaluate"),
    "compare_reviews": ("src/compare_reviews.py", "CompareReviews"),
    "export_onnx": ("src/export_onnx.py", "ExportOnnx"),
    "segments_from_events": ("src/segments_from_events.py", "SegmentsFromEvents"),
    "segments_from_onsets": ("src/segments_from_onsets.py", "SegmentsFromOnsets"),
    "import_poses": ("src/import_poses.py", "ImportPoses"),
    "extract_pose": ("src/extract_pose.py", "ExtractPose"),
    "extract_pictures": ("src/extract_pictures.py", "ExtractPictures"),
    "evaluate_onsets": ("src/evaluate_onsets.py", "EvaluateOnsets"),
}
CPU = ["--device", "cpu", "--precision", "float32"]
SMALL = {
    "lgbm": ["--lgbm.num-boost-round", "20", "--lgbm.min-data-in-leaf", "3"],
    "rocket": ["--rocket.biases-per-kernel", "1", "--rocket.augmented-copies", "0"],
    "stgcn_mil": ["--stgcn-mil.epochs", "3", "--stgcn-mil.width", "8", "--stgcn-mil.blocks", "2",
                  "--stgcn-mil.kernel", "5"],
}  # fmt: skip
# Read by every Python process that a command starts. It notes which process imports torch and LightGBM. One that is
# about to put the file that HOLD names in place, has just done so, or opens it, leaves its id in a note, and waits
# until it is killed or the note is gone.
SITE = """
import builtins, os, sys, time
note, log, wanted, moment = os.environ["HOLD"].split()
replace, opened = os.replace, os.open
class Noted:
    def find_spec(self, name, path=None, target=None):
        caller = sys._getframe(1)
        while caller and "_bootstrap" in caller.f_code.co_filename:
            caller = caller.f_back
        asked = caller and caller.f_globals["__name__"] == "importlib.util"  # which loads nothing
        if name in ("torch", "lightgbm") and not asked:
            with open(log, "a") as file:
                file.write(f"{os.getpid()} {name}\\n")
sys.meta_path.insert(0, Noted())
def held():
    with open(note + ".part", "w") as file:
        file.write(str(os.getpid()))
    replace(note + ".part", note)
    while os.path.exists(note):
        time.sleep(0.02)
def slow_replace(old, new):
    found = str(new).endswith(wanted)
    if found and moment == "before":
        held()
    replace(old, new)
    if found and moment == "after":
        held()
def slow_open(path, *arguments, **more):
    if moment == "open" and str(path).endswith(wanted):
        held()
    return opened(path, *arguments, **more)
os.replace, os.open = slow_replace, slow_open
"""


class Command:
    """A script that runs in a process group of its own, and is held at the point `hold`."""

    def __init__(self, folder: Path, script: str, flags: list[str], hold: str = "nothing never") -> None:
        self.note, self.log = folder / "note", folder / "imports"
        for path in (self.note, self.log):
            path.unlink(missing_ok=True)
        (folder / "site").mkdir(exist_ok=True)
        (folder / "site/sitecustomize.py").write_text(SITE)
        hook = {"PYTHONPATH": str(folder / "site"), "HOLD": f"{self.note} {self.log} {hold}"}
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS[script][0], *flags],
            cwd=ROOT,
            env=os.environ | hook,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def held(self) -> int:
        """Wait until a process is held; the id of that process."""
        wait_until(lambda: self.note.exists() or self.process.poll() is not None)
        assert self.note.exists(), self.process.communicate()
        return int(self.note.read_text())

    def group(self) -> list[int]:
        """The living processes of this command."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.process.pid and state != "Z":
                found.append(int(path.parent.name))
        return found

    def kill_parent(self) -> None:
        """Kill the command's first process alone, which cannot warn the others, and wait until they end."""
        assert len(self.group()) > 1, "the test is void unless there are others"
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not self.group())
        self.process.communicate()

    def kill_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr, once the process and all that share its pipes are gone."""
        stdout, stderr = self.process.communicate(timeout=300)
        return self.process.returncode, stdout, without_progress(stderr)

    def imported(self) -> dict[int, set[str]]:
        """Which of torch and LightGBM each process imported."""
        found: dict[int, set[str]] = {}
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            process, name = line.split()
            found.setdefault(int(process), set()).add(name)
        return found


def without_progress(stderr: str) -> str:
    """The errors and warnings of a command, without the lines of progress, which a slow machine prints."""
    lines = stderr.splitlines(keepends=True)
    return "".join(
        line for line in lines if not re.match(r"\w+: \d+( of \d+)?( (folds|segments|frames)|, .* left)", line)
    )


def small_flags(*models: str) -> list[str]:
    """The flags of train_folds.py that train these models, as small as they can be."""
    return ["--models", *models, *(word for model in models for word in SMALL.get(model, []))]


def code_of(script: str, *flags: object) -> int:
    """Run a command in this process; its exit code. What it printed is captured by pytest."""
    path, settings = SCRIPTS[script]
    module = importlib.import_module(Path(path).stem)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return app.run(module.main, getattr(module, settings), module.__doc__, list(map(str, flags)))
    except SystemExit as stop:  # tyro ends the process itself
        return int(stop.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)


def here(script: str, *flags: object) -> None:
    """Run a command in this process, to its end."""
    assert code_of(script, *flags) == 0
