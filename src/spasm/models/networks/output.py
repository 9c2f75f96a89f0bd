"""What every network answers, and how steps of a network become frames."""

from typing import NamedTuple

import torch


class Scores(NamedTuple):
    """A network's answer to a batch."""

    logit: torch.Tensor  # (N,) float32: the segment's log-odds as trained, before any correction
    frame_logits: torch.Tensor  # (N, T) float32: the evidence at each frame
    frame_weights: torch.Tensor  # (N, T) float32: where it looked; sums to 1, 0 where no pose was found
    embedding: torch.Tensor | None = None  # (N, D) float32: what the triplet-centre loss pulls together


def scores_of_steps(
    logit: torch.Tensor, step_logits: torch.Tensor, posed: torch.Tensor, spacing: int = 1, first: int = 0
) -> Scores:
    """The answer of a network without attention: where its head speaks loudest is where it looked.

    logit: (N,); step_logits: (N, S), what its head says of each step alone; posed: (N, T), 1 where a pose was found.
    Step s is centred on frame first + s * spacing, and stands for the frames that are nearest to it.
    """
    frames, steps = posed.shape[1], step_logits.shape[1]
    time = torch.arange(frames, device=posed.device)
    step_of_frame = ((time - first + spacing // 2) // spacing).clamp(0, steps - 1)
    frame_logits = step_logits.detach().float()[:, step_of_frame]
    weights = torch.softmax(frame_logits.masked_fill(posed == 0, -1e9), dim=1) * posed
    return Scores(logit.float(), frame_logits, weights)
