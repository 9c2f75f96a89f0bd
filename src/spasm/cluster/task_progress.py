"""Progress of a task, which may run more than once."""

import threading
from collections.abc import Callable
from typing import Any


class TaskProgress:
    """Passes on how much more of a task is done; what a task does twice, since its worker was lost, counts once."""

    def __init__(self, advance: Callable[[int], Any], lock: threading.Lock) -> None:
        """advance: called with the number of steps since its last call. lock: for all tasks with the same `advance`."""
        self.advance, self.lock, self.steps = advance, lock, 0

    def reach(self, steps: int) -> None:
        """So many steps of the task are done."""
        with self.lock:
            if steps > self.steps:
                self.advance(steps - self.steps)
                self.steps = steps
