"""Kill the whole pipeline at random moments, again and again, and compare what it ends with to the byte.

Small simulated data; LightGBM, random convolutions and the network are trained with two workers and blended, and new
segments are predicted, all by the real commands. Every process of a command is killed at once (SIGKILL to its group);
saves are slowed down, so that many kills come inside one. The same command then resumes, until it ends by itself. The
reference is an undisturbed run with one worker; another one with two workers is compared with it as well.

Example: python stress/kills.py --kills 20
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from storage import BLEND, ENVIRONMENT, MODELS, ROOT, SIMULATE, call

PIPELINE = [*(words.replace(" --tensorboard", "") for words in MODELS.values()), BLEND]
PIPELINE.append("submission.py --run run --test data/test --out predicted/predicted.csv")
# Read by every process of a command: the moments at which a file is made durable and gets its name last longer.
SITE = """
import os, random, time
def slow(call):
    def slowly(*arguments):
        time.sleep(random.uniform(0, 0.2))
        result = call(*arguments)
        time.sleep(random.uniform(0, 0.1))
        return result
    return slowly
os.fsync, os.replace = slow(os.fsync), slow(os.replace)
"""


def written(work: Path) -> dict[str, bytes]:
    """All that a run and its predictions consist of, but for locks and the command line in manifests."""
    kept = [*sorted((work / "run").rglob("*")), *sorted((work / "predicted").rglob("*"))]
    found = {str(path.relative_to(work)): path.read_bytes() for path in kept if path.is_file()}
    for name in [name for name in found if name.endswith("manifest.json")]:
        found[name] = json.dumps(json.loads(found[name]) | {"command": []}).encode()
    return {name: content for name, content in found.items() if not name.endswith(".lock")}


def undisturbed(work: Path, workers: int) -> dict[str, bytes]:
    work.mkdir()
    for words in [f"{SIMULATE} --children 10 --segments-per-child 5 --seed 1", *PIPELINE]:
        code, stderr = call(words.replace("--workers 1", f"--workers {workers}"), work)
        assert code == 0, stderr
    return written(work)


def killed(words: str, work: Path, longest_s: float | None, counts: Counter[str]) -> bool:
    """Run a command and kill it after a while, if one is given; whether it ended before that."""
    script, *flags = words.replace("--workers 1", "--workers 2").split()
    environment = ENVIRONMENT | {"PYTHONPATH": str(work.parent / "site")}
    command = [sys.executable, str(ROOT / script), *flags]
    running = subprocess.Popen(
        command, cwd=work, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, stderr = running.communicate(timeout=longest_s and random.uniform(0.3, longest_s))
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        while subprocess.run(["pgrep", "-g", str(running.pid)], stdout=subprocess.DEVNULL).returncode == 0:
            time.sleep(0.05)
        counts["kills"] += 1
        counts["inside a save"] += any(work.glob("*/**/.tmp-*"))
        counts[Path(script).stem] += 1
        return False
    assert running.returncode == 0, stderr
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest-s", type=float, default=25.0, help="killed after 0.3 s to this")
    settings = parser.parse_args()
    room = Path(tempfile.mkdtemp(prefix="kills"))
    (room / "site").mkdir()
    (room / "site/sitecustomize.py").write_text(SITE)
    expected = undisturbed(room / "one", 1)
    print(f"{len(expected)} files by one worker; two: {compared(expected, undisturbed(room / 'two', 2))}", flush=True)
    counts: Counter[str] = Counter()
    runs = wrong = 0
    while counts["kills"] < settings.kills:
        work = room / f"killed_{runs}"
        work.mkdir()
        call(f"{SIMULATE} --children 10 --segments-per-child 5 --seed 1", work)
        for words in PIPELINE:
            while not killed(words, work, settings.longest_s if counts["kills"] < settings.kills else None, counts):
                pass
        result = compared(expected, written(work))
        runs, wrong = runs + 1, wrong + (result != "the same bytes")
        print(f"run {runs}: {dict(counts)}: {result}", flush=True)
    print(f"{counts['kills']} kills, {counts['inside a save']} of them inside a save, {runs} runs, {wrong} that differ")
    return int(wrong > 0)


def compared(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    differ = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return ", ".join(differ) or "the same bytes"


if __name__ == "__main__":
    sys.exit(main())
