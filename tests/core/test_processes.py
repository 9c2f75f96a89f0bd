"""Worker processes: what they import and how they end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.repository import SOURCE

SCRIPT = """
import os, sys
print("begins", os.getpid())
sys.path.insert(0, {source!r})
from spasm.core.processes import isolated_pool

with isolated_pool(2) as pool:
    print("worker", pool.submit(os.getpid).result())
print("ends")
"""


@pytest.mark.command
def test_processes_of_a_pool_do_not_run_the_script_that_starts_them_even_without_a_guard(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(source=str(SOURCE)))
    finished = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
    begins, worker, ends = finished.stdout.splitlines()
    assert begins.split()[0] == "begins" and ends == "ends"
    assert worker.split()[1] != begins.split()[1]


HELD_BACK = """
import os, sys, time
sys.path[:0] = [{source!r}, {folder!r}]
import work
from spasm.core.processes import isolated_pool

with isolated_pool(1, work.hold) as pool:
    print(pool.submit(os.getpid).result())
"""
WORK = """
class Slow:
    def __del__(self):
        print("freed")

def hold():
    global held
    held = Slow()
    print("written by the worker")
"""


@pytest.mark.command
def test_a_process_of_a_pool_ends_without_freeing_what_it_holds_and_loses_nothing_that_it_wrote(tmp_path: Path):
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "script.py").write_text(HELD_BACK.format(source=str(SOURCE), folder=str(tmp_path)))
    finished = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert sorted(finished.stdout.splitlines())[-1] == "written by the worker"
    assert "freed" not in finished.stdout
    assert str(os.getpid()) not in finished.stdout
