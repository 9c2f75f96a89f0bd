"""What every network answers."""

from typing import NamedTuple

import torch


class Scores(NamedTuple):
    """A network's answer to a batch."""

    logit: torch.Tensor  # (N,) float32: the segment's log-odds as trained, before any correction
    frame_logits: torch.Tensor  # (N, T) float32: the evidence at each frame
    frame_weights: torch.Tensor  # (N, T) float32: where it looked; sums to 1, 0 where no pose was found
