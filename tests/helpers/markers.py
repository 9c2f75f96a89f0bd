"""Which tests are fast: every test has one of the markers that pyproject.toml declares, `unit` where it names none.

tests/conftest.py takes the hooks from here.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

SLOW = ("command", "browser", "video", "stress", "slow")
# Who asks for one of these fixtures waits for what the marker names; the first that fits counts.
BY_FIXTURE = {"browser": "browser", "make_video": "video", "cv2": "video", "simulated": "command"}
BY_FOLDER = {Path(__file__).parents[1] / "scripts": "command"}
_unit_test: str | None = None  # the one that is running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what does not say itself what it is."""
    for item in items:
        if not any(item.get_closest_marker(name) for name in (*SLOW, "unit")):
            item.add_marker(_marker(item))


def _marker(item: pytest.Item) -> str:
    for fixture, marker in BY_FIXTURE.items():
        if fixture in getattr(item, "fixturenames", ()):
            return marker
    return BY_FOLDER.get(item.path.parent, "unit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _unit_test
    _unit_test = item.nodeid if item.get_closest_marker("unit") else None
    try:
        return (yield)
    finally:
        _unit_test = None


def _refuse_processes_in_unit_tests(event: str, arguments: Sequence[Any]) -> None:
    """Keeps `make test-fast` fast: a test that starts one more Python must say that it does."""
    if _unit_test and event == "subprocess.Popen" and sys.executable in map(str, [arguments[0], *arguments[1]]):
        raise RuntimeError(f"{_unit_test} starts another Python: mark it with pytest.mark.command")


sys.addaudithook(_refuse_processes_in_unit_tests)
