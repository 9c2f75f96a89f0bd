"""Settings with other values."""

from typing import Any, TypeVar

from spasm.config.features import Augmentation
from spasm.config.fields import from_tree, to_tree

T = TypeVar("T")
NO_AUGMENTATION = Augmentation(
    mirror_prob=0,
    rotation_deg=0,
    zoom=0,
    aspect_jitter=0,
    shift_frames=0,
    jitter=0,
    drop_landmark_prob=0,
    drop_limb_prob=0,
    gap_prob=0,
    gap_frames=1,
)


def changed(config: T, **values: Any) -> T:
    """The same settings with other values of some fields, which may lie in a group of them."""
    tree, left = to_tree(config), dict(values)

    def put(group: dict[str, Any]) -> None:
        for name, value in group.items():
            if name in left:
                group[name] = left.pop(name)
            elif isinstance(value, dict):
                put(value)

    put(tree)
    assert not left, f"{type(config).__name__} has no {', '.join(left)}"
    return from_tree(type(config), tree)
