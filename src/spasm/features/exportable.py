"""What ONNX has no operator for, in two forms with the same values: torch's own, and sorting while a graph is exported.

Sorting works for any number of frames, while a running maximum by doubling would fix the largest in the graph.
"""

import numpy as np
import torch


def last_true(valid: torch.Tensor) -> torch.Tensor:
    """The last frame up to each frame that is valid, (S, T) int64; -1 where there is none yet. valid: (S, T) bool."""
    frames = valid.shape[1]
    time = torch.arange(frames, device=valid.device)
    if not torch.compiler.is_exporting():
        return torch.where(valid, time, -1).cummax(1).values
    in_order = torch.where(valid, time, frames).sort(1).values  # the valid frames, then T for the others
    count = valid.long().cumsum(1)
    return torch.where(count > 0, in_order.gather(1, (count - 1).clamp(min=0)), -1)


def nanmedian(values: torch.Tensor) -> torch.Tensor:
    """The median (N, ...) over axis 1 of the values (N, T, ...) that are not NaN, the lower one of two; or NaN."""
    if not torch.compiler.is_exporting():
        if values.device.type != "cpu":
            return values.nanmedian(1).values
        ordered = np.sort(values.movedim(1, -1).numpy())  # NaN last; NumPy sorts with vector instructions
        found = (~np.isnan(ordered)).sum(-1, keepdims=True)
        return torch.from_numpy(np.take_along_axis(ordered, np.maximum((found - 1) // 2, 0), -1)[..., 0])
    missing = torch.isnan(values)
    in_order = torch.where(missing, torch.inf, values).sort(1).values
    count = (~missing).long().sum(1, keepdim=True)
    middle = in_order.gather(1, ((count - 1) // 2).clamp(min=0))
    return torch.where(count > 0, middle, torch.nan)[:, 0]


def first_frames(values: torch.Tensor, frames: int) -> torch.Tensor:
    """The first frames of values (N, T, ...), which may have too many where a segment has one frame.

    A slice would be left out of a graph, where the length before it is known to be the same for two frames and more.
    """
    if not torch.compiler.is_exporting():
        return values[:, :frames]
    return values.index_select(1, torch.arange(frames, device=values.device))
