"""docs/reliability.md says nothing that is not so: the tests it names are there, and no row or heading is without."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
TEXT = PAGE.read_text(encoding="utf-8")
HEADINGS = ["Outcomes", "Files", "Tables", "Splits", "Numbers", "Training", "Storage", "Tuning", "Security",
            "Submission", "People"]  # fmt: skip
OUTCOME = re.compile(r"(accepted|accepted with a warning|refused|guaranteed)\b")
TEST = re.compile(r"`(tests/(?:\w+/)*test_\w+\.py)::(test_\w+)(?:\[([^\]`]+)\])?`")


def sections() -> dict[str, list[str]]:
    """The rows of the table under each heading, without the two lines of its head."""
    parts = re.split(r"^## (.+)\n", TEXT, flags=re.MULTILINE)[1:]
    tables = {
        heading: [line for line in part.splitlines() if line.startswith("|")]
        for heading, part in zip(parts[::2], parts[1::2], strict=True)
    }
    for table in tables.values():
        assert table[:2] == ["| behaviour | outcome | shown by |", "|---|---|---|"]
    return {heading: table[2:] for heading, table in tables.items()}


def cells(row: str) -> list[str]:
    found = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(found) == 3, row
    return found


ROWS = [cells(row) for table in sections().values() for row in table]


def written_ids(test: ast.FunctionDef) -> set[str]:
    """The ids of a test's cases where they are written out, and are not put together with those of other cases."""
    cases = [
        decorator
        for decorator in test.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize"
    ]
    lists = [word.value for case in cases for word in case.keywords if word.arg == "ids"]
    if len(cases) != 1 or not lists or not isinstance(lists[0], ast.List):
        return set()
    return {value.value for value in lists[0].elts if isinstance(value, ast.Constant)}


def defined(path: Path) -> dict[str, set[str]]:
    """The tests of a file, and the ids of their cases as far as they are written out."""
    return {
        node.name: written_ids(node)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_heading_is_there_once_with_rows_below():
    assert [heading for heading, rows in sections().items() if rows] == HEADINGS
    assert len(re.findall("^## ", TEXT, re.MULTILINE)) == len(HEADINGS)
    assert len([line for line in TEXT.splitlines() if line.startswith("|")]) == len(ROWS) + 2 * len(HEADINGS)


def test_every_row_has_a_behaviour_an_outcome_and_tests_and_nothing_else():
    for behaviour, outcome, shown in ROWS:
        assert behaviour[0].isupper() or behaviour.startswith("bfloat16"), behaviour
        assert OUTCOME.match(outcome), behaviour
        tests = shown.split("<br>")
        assert tests and all(TEST.fullmatch(test) for test in tests), behaviour
        assert len(set(tests)) == len(tests), behaviour


def test_no_behaviour_is_there_twice():
    behaviours = [re.sub(r"\W+", " ", behaviour).casefold() for behaviour, _, _ in ROWS]
    assert len(set(behaviours)) == len(behaviours)


def test_every_test_that_is_named_exists():
    named = TEST.findall(TEXT)
    files = {name: defined(ROOT / name) if (ROOT / name).is_file() else {} for name in {name for name, _, _ in named}}
    missing = [
        f"{name}::{test}[{case}]" if case else f"{name}::{test}"
        for name, test, case in named
        if test not in files[name] or (case and case not in files[name][test])
    ]
    assert missing == []


def test_links_lead_somewhere_and_the_readme_leads_here():
    anchors = {heading.lower() for heading in HEADINGS}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (PAGE.parent / link).is_file(), link
    assert "](docs/reliability.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
