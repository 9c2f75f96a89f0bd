"""docs/cluster.md: its certificates, its configuration of TLS and its script for SLURM work as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import CPU, here
from helpers.repository import ROOT

pytest.importorskip("dask_jobqueue", exc_type=ImportError)
pytestmark = pytest.mark.command

PAGE = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
# What a user calls to hand in a job: it runs here, at once, as SLURM would later on another machine.
SBATCH = """#!/bin/sh
cp "$1" "$JOBS/job.sh"
sh "$JOBS/job.sh" > "$JOBS/job.log" 2>&1 &
echo "Submitted batch job 1"
"""


def blocks(language: str) -> list[str]:
    """The blocks of the page in a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """The folder of Dask's configuration, with certificates made by the commands of the page."""
    [make] = [block for block in blocks("sh") if "openssl" in block]
    finished = subprocess.run(["sh", "-ec", make], env=os.environ | {"HOME": str(tmp_path)}, capture_output=True)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "spasm-tls/key.pem").stat().st_mode & 0o077 == 0, "others can read the key"
    [configuration] = blocks("yaml")
    (tmp_path / "dask").mkdir()
    (tmp_path / "dask/tls.yaml").write_text(configuration.replace("/home/me", str(tmp_path)))
    return tmp_path / "dask"


def test_the_script_for_slurm_runs_a_command_on_its_jobs_with_tls(tls, simulated, train_flags, tmp_path):
    run = tmp_path / "run"
    here("train_folds", *train_flags(run, "--workers", "1", models=["lgbm"]))
    flags = ["--test", simulated / "test", "--run", run, *CPU]
    here("submission", *flags, "--out", tmp_path / "alone/s.csv")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", "#!/bin/sh\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    [script] = blocks("python")
    changed = script.replace('interface="ib0"', 'interface="lo"').replace("JOBS = 8 ", "JOBS = 1 ")
    changed = changed.replace("cores=8", "cores=2").replace('directory="/tmp"', f'directory="{tmp_path}"')
    assert changed.count("\n") == script.count("\n")
    (tmp_path / "slurm_cluster.py").write_text(changed)
    environment = {"DASK_CONFIG": str(tls), "PATH": f"{tools}:{os.environ['PATH']}", "JOBS": str(tmp_path)}
    words = [sys.executable, ROOT / "submission.py", *flags, "--out", tmp_path / "jobs/s.csv"]
    finished = subprocess.run(
        [sys.executable, "slurm_cluster.py", *map(str, words)],
        cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "no TLS" not in finished.stderr
    for name in ("s.csv", "s_probabilities.csv"):
        assert (tmp_path / "jobs" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    job = (tmp_path / "job.sh").read_text()
    assert "#SBATCH -A my-project" in job
    assert "#SBATCH --cpus-per-task=2" in job
    assert "tls://127.0.0.1" in job
