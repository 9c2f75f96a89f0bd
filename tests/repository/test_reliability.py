"""docs/reliability.md names no test that is gone."""

import ast
import re

from helpers.repository import ROOT

PAGE = ROOT / "docs/reliability.md"
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)", PAGE.read_text(encoding="utf-8"))


def test_every_test_that_is_named_exists():
    assert len(NAMED) > 100
    defined = {}
    for name in {name for name, _ in NAMED}:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8")) if (ROOT / name).exists() else ast.Module([], [])
        defined[name] = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [f"{name}::{test}" for name, test in NAMED if test not in defined[name]] == []
