"""How far a training is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the folds of one model and seed are."""

    folds_done: int
    folds: int
    epochs_done: int
    epochs: int
    """Of all folds together; 0 for a model that has none."""
    seconds_left: float | None
    """About; None as long as nothing can be said."""
