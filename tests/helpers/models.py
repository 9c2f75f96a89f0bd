"""Every model of the registry, as small as it can be."""

from typing import Any

from helpers.settings import changed
from spasm.models.network import NetworkModel
from spasm.models.registry import MODELS

CHANGES = {"shift_frames": 2, "gap_frames": 4}  # that fit into short segments
SMALLEST = {
    "lgbm": {"num_boost_round": 6, "min_data_in_leaf": 2},
    "rocket": {"biases_per_kernel": 1, "augmented_copies": 1, **CHANGES},
}
# More than one epoch and one tree, or a fold that kept the best of them by its held-out children would not be noticed.
NETWORK = {"epochs": 2, "batch": 8, "width": 4, **CHANGES}


def smallest(model: str) -> Any:
    """Settings of a model that trains in a second."""
    least = NETWORK if isinstance(MODELS[model], NetworkModel) else SMALLEST.get(model, {})
    if MODELS[model].pictures is not None:
        least = {name: value for name, value in least.items() if name not in CHANGES}
    return changed(MODELS[model].config(), **least)
