"""Scripts run as a user would, or in this process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import blend
import train_lgbm
import train_rocket
from blend import BlendMembers
from train_lgbm import TrainLgbm
from train_rocket import TrainRocket

import robustness
import submission
import train_folds
from helpers.processes import wait_until
from robustness import Robustness
from spasm.cli import app
from submission import Submission
from train_folds import TrainFolds

ROOT = Path(__file__).parents[2]
T = 60
SCRIPTS = {
    "lgbm": (train_lgbm.main, TrainLgbm, "src/train_lgbm.py"),
    "rocket": (train_rocket.main, TrainRocket, "src/train_rocket.py"),
    "stgcn_mil": (train_folds.main, TrainFolds, "src/train_folds.py"),
    "blend": (blend.main, BlendMembers, "src/blend.py"),
    "submission": (submission.main, Submission, "submission.py"),
    "robustness": (robustness.main, Robustness, "src/robustness.py"),
}
# Read by every Python process that a command starts. It notes which process imports torch and LightGBM. One that is
# about to put the file that HOLD names in place, has just done so, or opens it, leaves its id in a note, and waits
# until it is killed or the note is gone.
SITE = """
import builtins, os, sys, time
note, log, wanted, moment = os.environ["HOLD"].split()
replace, opened = os.replace, os.open
class Noted:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "lightgbm"):
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
    """A script that runs in a process group of its own, and is held where `hold` says."""

    def __init__(self, folder: Path, script: str, flags: list[str], hold: str = "nothing never") -> None:
        self.note, self.log = folder / "note", folder / "imports"
        for path in (self.note, self.log):
            path.unlink(missing_ok=True)
        (folder / "site").mkdir(exist_ok=True)
        (folder / "site/sitecustomize.py").write_text(SITE)
        hook = {"PYTHONPATH": str(folder / "site"), "HOLD": f"{self.note} {self.log} {hold}"}
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS[script][2], *flags],
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
        """Kill the command's first process alone, which cannot tell the others, and see them go."""
        assert len(self.group()) > 1, "the test is void unless there are others"
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not self.group())
        self.process.communicate()

    def kill_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, stdout, stderr

    def imported(self) -> dict[int, set[str]]:
        """Which of torch and LightGBM each process imported."""
        found: dict[int, set[str]] = {}
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            process, name = line.split()
            found.setdefault(int(process), set()).add(name)
        return found


def here(script: str, *flags: object) -> str:
    """Run a command in this process, to its end; what it printed is captured by pytest."""
    main, settings, _ = SCRIPTS[script]
    assert app.run(main, settings, "", list(map(str, flags))) == 0
    return script
