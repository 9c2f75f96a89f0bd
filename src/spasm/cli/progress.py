"""Progress of long work: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from spasm.training.progress import Progress

T = TypeVar("T")


class LineProgress(Generic[T]):
    """Has what the scripts use of a tqdm bar, and prints the progress of long work in whole lines on stderr.

    The first comes after `first_s`, another every `every_s`: work that ends sooner prints nothing.
    """

    def __init__(
        self, items: Iterable[T], what: str, total: int | None, unit: str, first_s: float, every_s: float
    ) -> None:
        self.items, self.what, self.total, self.unit, self.every_s = items, what, total, unit, every_s
        self.done, self.begun_s = 0, time.monotonic()
        self.next_s = self.begun_s + first_s

    def __iter__(self) -> Iterator[T]:
        for item in self.items:
            yield item
            self.update()

    def __enter__(self) -> "LineProgress[T]":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def update(self, more: int = 1) -> None:
        self.done += more
        now_s = time.monotonic()
        if now_s < self.next_s or self.done in (0, self.total):
            return
        self.next_s = now_s + self.every_s
        of = left = ""
        if self.total:
            of = f" of {self.total}"
            left = f", {span((now_s - self.begun_s) / self.done * (self.total - self.done))} left"
        unit = f" {self.unit}s" if self.unit else ""
        print(f"{self.what}: {self.done}{of}{unit}{left}", file=sys.stderr, flush=True)


def progress(
    what: str,
    items: Iterable[Any] = (),
    total: int | None = None,
    unit: str = "",
    unit_scale: bool = False,
    first_s: float = 10.0,
    every_s: float = 30.0,
) -> "tqdm[Any] | LineProgress[Any]":
    """Show how far long work is: by a bar on a terminal, elsewhere by lines. `unit_scale` shortens a bar's numbers."""
    if sys.stderr.isatty():
        return tqdm(items, what, total, unit=unit or "it", unit_scale=unit_scale)
    return LineProgress(items, what, total, unit, first_s, every_s)


def reading(paths: list[Path]) -> Iterable[Path]:
    """The progress of reading segments."""
    return progress("reading", paths, len(paths), "segment")


def print_row(row: dict[str, Any]) -> None:
    """A line on stdout with all values of a row, such as a trial, by name."""
    cells = (f"{name} {value:.5g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())
    print("  ".join(cells) + "\n", end="", flush=True)  # at once, because threads print too


class Training:
    """Shows how far the folds of a model are: in place on a terminal, elsewhere in a line now and then."""

    def __init__(self, name: str, first_s: float = 10.0, every_s: float = 30.0) -> None:
        self.name, self.every_s, self.shown = name, every_s, ""
        self.next_s = time.monotonic() + first_s

    def __enter__(self) -> Callable[[Progress], None]:
        return self.show

    def __exit__(self, *_error: object) -> None:
        if self.shown and sys.stderr.isatty():
            print(f"\r{' ' * len(self.shown)}\r", end="", file=sys.stderr, flush=True)

    def show(self, done: Progress) -> None:
        """Print it, if it is time."""
        text = training_line(self.name, done)
        if sys.stderr.isatty():
            print(f"\r{text:{len(self.shown)}}", end="", file=sys.stderr, flush=True)
            self.shown = text
        elif done.folds_done < done.folds and time.monotonic() >= self.next_s:
            self.next_s = time.monotonic() + self.every_s
            print(text, file=sys.stderr, flush=True)


def training_line(name: str, done: Progress) -> str:
    """Such as `stgcn_mil: 2 of 5 folds, epoch 52 of 100, about 6 min left`."""
    parts = [f"{name}: {done.folds_done} of {done.folds} folds"]
    if done.epochs:
        parts.append(f"epoch {done.epochs_done} of {done.epochs}")
    if done.seconds_left is not None and done.folds_done < done.folds:
        parts.append(f"about {span(done.seconds_left)} left")
    return ", ".join(parts)


def span(seconds: float) -> str:
    """A length of time in the unit that reads best."""
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
