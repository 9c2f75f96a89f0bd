"""Let storage fail under every command, and see that nothing old is harmed and that the same command then continues.

Each command runs on small simulated data, once for every fault:
fault       one call that touches its folder is refused by strace: making a file or folder, writing, fsync, rename
full        its folder is a disk of its own that fills up, sooner or later
read-only   its folder is a disk that can only be read
vanished    what it writes is removed under it just before a file takes its name
The command must end with 1 and a message that names a place, every file must be the old or the new one whole or what
the same command continues with, and that must end with the bytes of a run that nothing disturbed.

Needs Linux, strace, and for disks of its own the right to mount them. What fails is printed, with a folder to look at.

Example: python stress/storage.py --commands report submission --faults fault full
"""

import argparse
import contextlib
import dataclasses
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = "--data data --frames 60 --folds 3 --cache cache --run run --workers 1"
TRAIN = f"src/train_folds.py {SMALL} --no-report"
MODELS = {
    "train_lgbm": f"{TRAIN} --models lgbm --lgbm.num-boost-round 10 --lgbm.min-data-in-leaf 3",
    "train_rocket": f"{TRAIN} --models rocket --rocket.biases-per-kernel 1 --rocket.augmented-copies 0",
    "train_network": f"{TRAIN} --models stgcn_mil --stgcn-mil.epochs 2 --stgcn-mil.width 8 --stgcn-mil.blocks 2 "
    "--stgcn-mil.kernel 5 --device cpu --tensorboard",
}
SIMULATE = "src/simulate.py --out data --frames 60 --recordings 1 --minutes 1 --workers 1"
BLEND = "src/train_folds.py --decide-only --no-report --run run --cache cache"
SUBMIT = "submission.py --run run --test data/test --out predicted/predicted.csv --report"
REPORT = "src/report.py --run run --cache cache"
TUNE = "src/tune.py --data data --frames 60 --folds 3 --cache cache --study small --trials 3 --workers 1"
CALLS = ("openat", "mkdir", "write", "pwrite64", "fsync", "fdatasync", "rename", "link")
FAULTS = ("fault", "full", "read-only", "vanished")
ERRORS = {"write": "ENOSPC", "pwrite64": "ENOSPC", "openat": "ENOSPC", "mkdir": "ENOSPC"}  # others: EIO


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, run in a folder of its own."""

    words: str
    writes: list[str]
    """Where it writes, in that folder."""
    fresh: list[str] = dataclasses.field(default_factory=list)
    """What is removed before, so that there is something to do."""
    unsteady: str = r"$^"
    """Files that never have the same bytes twice, because they hold the time."""


INDEX = "cache/index/"  # files in which the times of others stand
# Files that grow while a command works; that they are whole is seen when it continues.
GROWING = (
    r"manifest\.json|history\.csv|importance\.csv|_last\.safetensors|events\.out|\.journal|\.db|\.torn|small.*\.json"
)
COMMANDS = {
    "simulate": Command(f"{SIMULATE} --children 6 --segments-per-child 4 --seed 3", ["data"]),
    "train_lgbm": Command(MODELS["train_lgbm"], ["run", "cache"], ["run", "cache"]),
    "train_rocket": Command(MODELS["train_rocket"], ["run", "cache"], ["run/rocket"]),
    "train_network": Command(MODELS["train_network"], ["run", "cache"], ["run/stgcn_mil"], r"events\.out"),
    "decide": Command(BLEND, ["run", "cache"]),
    "submission": Command(SUBMIT, ["predicted"]),
    "report": Command(REPORT, ["run", "cache"]),
    "tune": Command(
        f"{TUNE} --storage studies/small.journal --out studies/small.json",
        ["studies", "cache"],
        ["studies"],
        r"\.journal|\.torn|\.locks|small\.json",  # which counts the trials that failed
    ),
    "tune_sqlite": Command(
        f"{TUNE} --storage sqlite:///studies/small.db --out studies/small.json",
        ["studies", "cache"],
        ["studies/small.db", "studies/small.json"],
        r"\.db|\.locks|small\.json",
    ),
    "evaluate_held_out": Command(
        "src/evaluate_held_out.py --data data --frames 60 --cache cache --out transfer --models lgbm --outer-folds 2 "
        "--workers 1",
        ["transfer", "cache"],
        ["transfer"],
    ),
    "export_dataset": Command(
        "src/export_dataset.py --data data --frames 60 --cache cache --out converted", ["converted", "cache"]
    ),
    "robustness": Command("src/robustness.py --run run --cache cache --workers 1", ["run", "cache"]),
    "evaluate_label_shift": Command("src/evaluate_label_shift.py --run run --cache cache --splits 2", ["run", "cache"]),
    "compare": Command(
        "src/compare.py --data data --frames 60 --folds 3 --cache cache --out compared --models lgbm --seeds 1",
        ["compared", "cache"],
        ["compared"],
        r"costs/|table\.",  # which hold the time it took
    ),
    "timeline": Command(
        "src/timeline.py data/recordings/child_1_1.npy --run run --out timelines", ["timelines"], ["timelines"]
    ),
}
MINUTE = rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC"  # at which a page was made
# Read by the command's own process: takes its folder away before file number VANISH, from 0, is put in place, or once
# it is durable there.
SITE = """
import os, shutil
number, moment, folder = os.environ["VANISH"].split()
replace, fsync, left = os.replace, os.fsync, [int(number)]
def renaming(old, new):
    if not left[0] and moment == "before":
        shutil.rmtree(folder)
    left[0] -= 1
    replace(old, new)
def syncing(handle):
    fsync(handle)
    if left[0] == -1 and moment == "after":
        left[0] -= 1
        shutil.rmtree(folder)
os.replace, os.fsync = renaming, syncing
"""
ENVIRONMENT = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"}


def prepare(base: Path) -> None:
    """A folder in which every command can run, and has run before."""
    base.mkdir(parents=True)
    simulate = f"{SIMULATE} --children 14 --segments-per-child 4 --seed 1"
    for words in [simulate, *MODELS.values(), BLEND, SUBMIT, REPORT, COMMANDS["robustness"].words]:
        code, stderr = call(words, base)
        assert code == 0, stderr
    (base / "studies").mkdir()


def call(words: str, work: Path, *before: str, more: dict[str, str] | None = None) -> tuple[int, str]:
    """Run one of our commands in a folder; its exit code and stderr."""
    script, *flags = words.split()
    command = [*before, sys.executable, str(ROOT / script), *flags]
    done = subprocess.run(command, cwd=work, env=ENVIRONMENT | (more or {}), capture_output=True, text=True)
    return done.returncode, done.stderr


def contents(work: Path, command: Command) -> dict[str, bytes]:
    """The bytes of every file that a command writes, by path."""
    found = {}
    for folder in command.writes:
        for path in sorted((work / folder).rglob("*")):
            if path.is_file() and not path.name.endswith(".lock"):
                found[str(path.relative_to(work))] = re.sub(MINUTE, b"", path.read_bytes())
    return found


class Campaign:
    """One command under faults."""

    def __init__(self, command: Command, base: Path, room: Path) -> None:
        self.command, self.base, self.work, self.log = command, base, room / "work", room / "strace"
        self.restore()
        self.before = contents(self.work, command)
        traced = ["strace", "-y", "-s", "0", "-o", str(self.log), "-e", f"trace={','.join(CALLS)}"]
        code, stderr = call(command.words, self.work, *traced)
        assert code == 0, stderr
        self.points = list(self.touching())
        self.after = contents(self.work, command)

    def restore(self) -> None:
        self.work.mkdir(exist_ok=True)
        for path in self.work.iterdir():  # it may be a disk of its own
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.base, self.work, dirs_exist_ok=True)
        for name in self.command.fresh:
            path = self.work / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def touching(self) -> Iterator[tuple[str, int, str]]:
        """Every call that makes or changes something in the folder: its name, its number, and the place."""
        numbers: Counter[str] = Counter()
        for line in self.log.read_text().splitlines():
            made = re.match(r"(\w+)\((.*)", line)
            if made is None:
                continue
            name, rest = made.groups()
            numbers[name] += 1
            paths = re.findall(r'["<](?:' + re.escape(str(self.work)) + r'/)?([^">]*)[">]', rest)
            place = paths[-1] if name in ("rename", "link", "openat") else paths[0] if paths else ""
            reads = name == "openat" and not re.search(r"O_WRONLY|O_RDWR", rest)
            inside = f"{self.work}/" in rest or any(place.startswith(of) for of in self.command.writes)
            if inside and not reads and " = -1 " not in rest:
                yield name, numbers[name], place

    def chosen(self) -> list[tuple[str, int, str]]:
        """One point for each kind of call and file; digits and temporary names do not count as different."""
        kinds = {}
        for name, number, place in self.points:
            kinds.setdefault((name, re.sub(r"[0-9]+", "N", re.sub(r"\.tmp-.*", "T", place))), []).append(
                (name, number, place)
            )
        return [random.choice(points) for points in kinds.values()]

    def problems_of(self, code: int, stderr: str, rerun: bool = True) -> list[str]:
        """What is wrong after a fault, if anything."""
        wrong = []
        if code != 1:
            wrong.append(f"exit code {code}")
        if "Traceback" in stderr or not re.search(r"^error: ", stderr, re.MULTILINE):
            wrong.append("no message: " + stderr[-1500:])
        elif ".tmp-" in stderr or not any(name in stderr for name in self.command.writes):
            wrong.append("the message names no place that the user knows: " + stderr)
        for path, content in contents(self.work, self.command).items():
            if ".tmp-" in path:
                wrong.append(f"{path} is left behind")
            elif re.search(f"{GROWING}|{INDEX}|{self.command.unsteady}", path):
                continue
            elif content not in (self.before.get(path), self.after.get(path)):
                wrong.append(f"{path} is neither the old nor the new one")
        for path in self.before.keys() & self.after.keys():
            if not (self.work / path).exists():
                wrong.append(f"{path} is gone")
        return wrong + (self.continued() if rerun else [])

    def continued(self) -> list[str]:
        code, stderr = call(self.command.words, self.work)
        if code:
            return [f"the same command then ends with {code}: {stderr[-1500:]}"]
        now, after = self.steady(contents(self.work, self.command)), self.steady(self.after)
        return [f"{path} differs in the end" for path in sorted(now | after) if now.get(path) != after.get(path)]

    def steady(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Those that have the same bytes every time."""
        unsteady = f"{INDEX}|{self.command.unsteady}"
        return {path: content for path, content in files.items() if not re.search(unsteady, path)}

    # ---- the kinds of faults; each gives (what was done, what is wrong)

    def fault(self, limit: int | None) -> Iterator[tuple[str, list[str]]]:
        points = self.chosen()
        for name, number, place in points if limit is None else random.sample(points, min(limit, len(points))):
            error = ERRORS.get(name, "EIO")
            inject = ["-e", f"trace={name}", "-e", f"inject={name}:error={error}:when={number}"]
            strace = ["strace", "-y", "-s", "0", "-o", str(self.log), *inject]
            for _ in range(3):  # a line about progress, say, shifts the numbers
                self.restore()
                code, stderr = call(self.command.words, self.work, *strace)
                hit = [line for line in self.log.read_text().splitlines() if "(INJECTED)" in line]
                ours = bool(hit) and any(of in hit[0] for of in (str(self.work), *self.command.writes))
                if ours:
                    break
            if not ours:
                yield f"{error} at {name} {number} {place}", ["VOID: another call was hit: " + "".join(hit)]
            else:
                yield f"{error} at {name} {number} {place}", self.problems_of(code, stderr)

    @contextlib.contextmanager
    def disk(self) -> Iterator[Callable[[str], None]]:
        """The command's folder as a disk of its own, restored; gives what changes its size and rights."""
        subprocess.run(["mount", "-t", "tmpfs", "storage", self.work], check=True)
        try:
            self.restore()
            yield lambda how: subprocess.run(["mount", "-o", f"remount,{how}", self.work], check=True)
        finally:
            subprocess.run(["umount", "--lazy", self.work], check=True)

    def full(self, limit: int | None) -> Iterator[tuple[str, list[str]]]:
        grown = sum(len(content) for path, content in self.after.items() if content != self.before.get(path))
        for fraction in [0, 0.03, 0.1, 0.3, 0.6, 0.9][:limit]:
            with self.disk() as remount:
                used = shutil.disk_usage(self.work).used
                remount(f"size={used + 8192 + int(fraction * grown)}")
                code, stderr = call(self.command.words, self.work)
                wrong = self.problems_of(code, stderr, rerun=False) if code else []
                remount("size=1g")
                yield f"full at {fraction} of what it writes: exit {code}", wrong + self.continued()

    def read_only(self, _limit: int | None) -> Iterator[tuple[str, list[str]]]:
        with self.disk() as remount:
            remount("ro")
            code, stderr = call(self.command.words, self.work)
            wrong = self.problems_of(code, stderr, rerun=False)
            remount("rw")
            yield "read-only: " + stderr.strip().rpartition("\n")[2], wrong + self.continued()

    def vanished(self, limit: int | None) -> Iterator[tuple[str, list[str]]]:
        count = sum(name == "rename" for name, _, _ in self.points)
        (self.log.parent / "site").mkdir(exist_ok=True)
        (self.log.parent / "site/sitecustomize.py").write_text(SITE)
        for number, moment in [(0, "before"), (0, "after"), (count // 2, "before"), (count // 2, "after")][:limit]:
            if moment == "after" and number == count - 1:
                continue  # nothing is written after it
            self.restore()
            more = {"VANISH": f"{number} {moment} {self.command.writes[0]}"}
            more["PYTHONPATH"] = str(self.log.parent / "site")
            code, stderr = call(self.command.words, self.work, more=more)
            explained = code == 1 and "error: " in stderr and "Traceback" not in stderr
            if code == 0 and self.steady(contents(self.work, self.command)) == self.steady(self.after):
                explained = True  # it was made again as a whole
            wrong = [] if explained else [f"exit {code}: {stderr[-1500:]}"]
            if code and (self.work / self.command.writes[0]).exists():
                wrong.append("the folder was made again")
            yield f"vanished {moment} file {number} of {count}: " + stderr.strip().rpartition("\n")[2], wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--faults", nargs="+", default=FAULTS, choices=FAULTS)
    parser.add_argument("--limit", type=int, help="of each kind of fault; all, if not given")
    parser.add_argument("--base", type=Path, help="folder in which everything is prepared, made if it is not there")
    settings = parser.parse_args()
    room = Path(tempfile.mkdtemp(prefix="storage"))
    base = settings.base or room / "base"
    if not base.exists():
        prepare(base)
    count = wrong = 0
    for name in settings.commands:
        campaign = Campaign(COMMANDS[name], base, room)
        print(f"{name}: {len(campaign.points)} calls, {len(campaign.chosen())} kinds", flush=True)
        for kind in settings.faults:
            for done, problems in getattr(campaign, kind.replace("-", "_"))(settings.limit):
                count += 1
                wrong += bool(problems)
                print(f"{name}, {done}: {'; '.join(problems) or 'ok'}", flush=True)
    print(f"{count} faults, {wrong} with a problem")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
