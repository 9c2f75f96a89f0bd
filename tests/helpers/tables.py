"""Reading what commands write."""

import csv
from pathlib import Path


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, each by column."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
