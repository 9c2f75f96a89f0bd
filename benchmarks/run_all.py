"""Print the ratios and times of docs/performance.md for this machine, as tables that can be pasted into the page.

Each part is a benchmark of its own, in a process of its own, and can be run alone with more flags. The parts that
need a trained run are left out without one. What takes hours, `scale.py`, and what needs a cluster or a GPU,
`cluster.py` and `stgcn.py --device cuda`, are run by themselves. --quick measures tiny sizes: it shows that all parts
work, and no more.

Examples:
  python benchmarks/run_all.py --run output/main --out output/performance.json
  python benchmarks/run_all.py --only network peers
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, get_args

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from spasm.cli import app
from spasm.config.fields import settings
from spasm.core import files

Part = Literal[
    "network",
    "network_float32",
    "random_convolutions",
    "ridge",
    "peers",
    "published",
    "pictures",
    "commands",
    "recordings",
]
FRAMES, ONCE = ["--frames", "64"], ["--repeats", "1"]
# The file of each part, its flags, and those that make it quick.
PARTS: dict[str, tuple[str, list[str], list[str]]] = {
    "network": ("stgcn.py", [], [*FRAMES, *ONCE]),
    "network_float32": ("stgcn.py", ["--precision", "float32"], [*FRAMES, *ONCE]),
    "random_convolutions": ("random_convolutions.py", [], [*FRAMES, *ONCE, "--segments", "8"]),
    "ridge": ("ridge.py", [], ["--rows", "400", "--features", "300"]),
    "peers": ("peers.py", [], [*FRAMES, *ONCE, "--segments", "2"]),
    "published": ("published.py", [], [*ONCE, "--threads", "1"]),
    "pictures": ("pictures.py", [], ["--frames", "60", "--children", "8", "--segments-per-child", "2"]),
    "commands": (
        "commands.py",
        [],
        [*FRAMES, "--children", "24", "--segments-per-child", "4", "--epochs", "1", "--predicted", "20"],
    ),
    "recordings": ("recordings.py", [], [*ONCE, "--minutes", "0.5", "--models", "nowhere"]),
}


@settings
class RunAll:
    """Flags of benchmarks/run_all.py."""

    run: Path = Path("output/main")
    """Trained run, for `recordings`."""
    only: tuple[Part, ...] = ()
    """Parts to measure; none: all."""
    out: Path | None = None
    """JSON file for the results."""
    quick: bool = False
    """Measure tiny sizes, to see whether all parts work."""


def main(settings: RunAll) -> int:
    machine = measuring.machine()
    print(f"Measured on {measuring.in_words(machine)}.")
    results: dict[str, Any] = {}
    missing = []
    for part in settings.only or get_args(Part):
        if part == "recordings" and not (settings.run / "decision.json").is_file():
            missing.append(part)
            continue
        command, result = measured(part, settings)
        if result is None:
            missing.append(part)
            continue
        rows = [
            measuring.Row(**{name: row[name] for name in ("name", "ours", "unit", "other")}) for row in result["rows"]
        ]
        results[part] = {"command": command, **result}
        print("", f"`{command}` ({result['title']})", "", *measuring.table(rows), sep="\n", flush=True)
        if settings.out:
            files.write_json(settings.out, {"machine": machine, "quick": settings.quick, "parts": results})
    if missing:
        print(f"\nleft out: {', '.join(missing)}", file=sys.stderr)
        if "recordings" in missing:
            print(f"recordings needs a trained run, and {settings.run} is none: name one by --run", file=sys.stderr)
    return 1 if missing else 0


def measured(part: str, settings: RunAll) -> tuple[str, Any]:
    """The command of a part for the page, and its results; None if it failed, after its own message."""
    name, flags, quick = PARTS[part]
    flags = [*flags, *(quick if settings.quick else [])]
    if part == "recordings":
        flags += ["--run", str(settings.run)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, str(ROOT / "benchmarks" / name), *flags, "--out", str(out)]
        finished = subprocess.run(command, stdout=subprocess.DEVNULL)
        result = json.loads(out.read_text(encoding="utf-8")) if finished.returncode == 0 else None
    return " ".join(["python", f"benchmarks/{name}", *flags]), result


if __name__ == "__main__":
    sys.exit(app.run(main, RunAll, __doc__))
