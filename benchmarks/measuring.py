"""What benchmarks share: the machine in words, work measured in turn, and the cost of a command with its workers."""

import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spasm.core import files

INTERVAL_S = 0.5  # between two looks at the memory of a command


@dataclass(frozen=True)
class Cost:
    """What a command cost, with all processes that it started."""

    wall_s: float
    processor_s: float
    peak_bytes: int
    """Most memory at one moment: pages that several processes share count once (PSS)."""
    output: str
    """What it wrote to stdout."""


def machine() -> dict[str, str | int | float]:
    """The machine and the libraries that every number depends on, and how busy it is."""
    import numpy as np
    import torch

    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "instructions": torch.backends.cpu.get_cpu_capability() + bfloat16_words(),
        "memory_gb": round(memory_bytes() / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan"),
    }


def bfloat16_words() -> str:
    """Whether the processor multiplies bfloat16: without, networks are computed in float32."""
    import torch

    from spasm.models.networks.predictor import pick_precision

    bfloat16 = pick_precision("auto", torch.device("cpu")) == torch.bfloat16
    return " with bf16" if bfloat16 else " without bf16"


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    family = f" (family {found['cpu family']}, model {found['model']})" if "cpu family" in found else ""
    return found.get("model name", platform.machine()) + family


def memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, AttributeError):
        return 0


def in_words(machine: Mapping[str, str | int | float]) -> str:
    """One line for people."""
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['instructions']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}, numpy {machine['numpy']}; "
        f"load average at the start {machine['load_average']}"
    )


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process, which another load on the machine changes less than those of a clock."""
    start = time.process_time()
    work()
    return time.process_time() - start


def medians(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each work. They take turns, so that a load slows all; the first turn warms up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            took = seconds(work)
            if repeat:
                taken[name].append(took)
    return {name: statistics.median(times) for name, times in taken.items()}


def cost_of(command: Sequence[str | Path], log: Path | None = None, check: bool = True) -> Cost:
    """Run a command and measure it, on Linux. Its messages go to `log`, or are lost.

    Raises CalledProcessError if it fails and `check`.
    """
    words = [str(word) for word in command]
    peak = 0
    done = threading.Event()
    with open(log or os.devnull, "w", encoding="utf-8") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors)

        def watch() -> None:
            nonlocal peak
            while not done.is_set():
                peak = max(peak, memory_of_tree(process.pid))
                done.wait(INTERVAL_S)

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        watcher.join()
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words, output)
    return Cost(wall_s, used.ru_utime + used.ru_stime, peak, output)


def memory_of_tree(pid: int) -> int:
    """Bytes (PSS) of a process and all its descendants; 0 if it has ended."""
    total, waiting = 0, [pid]
    while waiting:
        now = waiting.pop()
        try:
            total += _pss(now)
            for thread in os.listdir(f"/proc/{now}/task"):
                waiting += map(int, Path(f"/proc/{now}/task/{thread}/children").read_text().split())
        except OSError:
            continue  # it has ended in the meantime
    return total


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


@dataclass(frozen=True)
class Row:
    """One result: ours, and what it is compared with in the same run."""

    name: str
    ours: float
    unit: str
    """Such as `ms a segment`; where more is better it has `/s` or `times`."""
    other: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as fast ours is."""
        if self.other is None:
            return None
        more_is_better = self.unit.endswith("/s") or self.unit.startswith("times")
        return self.ours / self.other if more_is_better else self.other / self.ours


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as lines of a Markdown table."""
    lines = ["| | ours | compared with | ratio | |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (f"{row.ours:.4g}", *("" if one is None else f"{one:.4g}" for one in (row.other, row.ratio)), row.unit)
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return lines


def finish(title: str, rows: Sequence[Row], out: Path | None) -> None:
    """Print a table of all results, and write them to a JSON file if one is asked for."""
    print(*[f"{title}:", "", *table(rows)], sep="\n")
    if out is not None:
        write(out, title, rows)


def write(out: Path, title: str, rows: Sequence[Row]) -> None:
    files.write_json(out, {"title": title, "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]})
