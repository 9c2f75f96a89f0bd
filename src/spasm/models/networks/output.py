"""The output of every network, and the mapping from its time steps to frames."""

from typing import NamedTuple

import torch


class Scores(NamedTuple):
    """The output of a network for a batch."""

    logit: torch.Tensor  # (N,) float32: the segment's log-odds as trained, before any correction
    frame_logits: torch.Tensor  # (N, T) float32: the evidence at each frame
    frame_weights: torch.Tensor  # (N, T) float32: attention; sums to 1, 0 in frames without a pose
    embedding: torch.Tensor | None = None  # (N, D) float32: input of the triplet-centre loss


def scores_of_steps(
    logit: torch.Tensor, step_logits: torch.Tensor, posed: torch.Tensor, spacing: int = 1, first: int = 0
) -> Scores:
    """The output of a network without attention; the softmax of its frame logits serves as attention.

    logit: (N,); step_logits: (N, S), of each step alone; posed: (N, T), 1 in frames with a pose.
    Step s is centred on frame first + s * spacing, and represents the frames nearest to it.
    """
    frames, steps = posed.shape[1], step_logits.shape[1]
    time = torch.arange(frames, device=posed.device)
    step_of_frame = ((time - first + spacing // 2) // spacing).clamp(0, steps - 1)
    frame_logits = step_logits.detach().float()[:, step_of_frame]
    weights = torch.softmax(frame_logits.masked_fill(posed == 0, -1e9), dim=1) * posed
    return Scores(logit.float(), frame_logits, weights)
