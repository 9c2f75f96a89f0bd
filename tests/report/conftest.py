"""What the tests of reports share: a run with its report, and the report in a browser."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.browser import PageInBrowser
from helpers.repository import ROOT


@pytest.fixture(scope="session")
def both(blended: Path, train_flags: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three models, and its report; tests must not change it."""
    folder = Path(shutil.copytree(blended, tmp_path_factory.mktemp("report") / "run"))
    flags = train_flags(folder)
    command = [sys.executable, "src/report.py", "--run", folder, "--cache", flags[flags.index("--cache") + 1]]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture
def opened(browser: Any, both: Path) -> Iterator[PageInBrowser]:
    opened = PageInBrowser(browser, both / "report.html", viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()
