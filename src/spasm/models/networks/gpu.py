"""What a GPU needs: poses in its memory, steps recorded as CUDA graphs, and what to do when its memory is full.

All of it also runs on a CPU, without the recording, so that tests without a GPU run the same code.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

RESIDENT = 0.5  # largest fraction of the free memory that the poses of a training may fill
UPLOADED = 1024  # segments that are copied to the device at a time
WARM_UP = 2  # steps before one is recorded, in which libraries choose their kernels
# What torch, cuBLAS, cuDNN and the driver say when an allocation fails; only torch has an error class for it.
NO_MEMORY = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "CUDA_ERROR_OUT_OF_MEMORY")


class Batch(NamedTuple):
    """What a step of a training reads, on the device."""

    features: torch.Tensor  # (n, 14, 33, T) float32
    labels: torch.Tensor  # (n,) float32
    targets: torch.Tensor  # (n,) float32
    part: torch.Tensor  # (n,) float32: weight of each segment in its mixed pair; empty without mixing
    other: torch.Tensor  # (n,) int64: place of the segment that it is mixed with; empty without mixing


class DevicePoses:
    """Poses of segments, read to a device: all are kept there if they fill at most half of its free memory."""

    def __init__(self, poses: np.ndarray, device: torch.device) -> None:
        """poses: (M, T, 33, 5) float32, also memory-mapped."""
        self.poses, self.device = poses, device
        self.resident: torch.Tensor | None = None
        if device.type == "cuda" and poses.nbytes < RESIDENT * torch.cuda.mem_get_info(device)[0]:
            self.resident = torch.empty(poses.shape, device=device)
            for start in range(0, len(poses), UPLOADED):
                part = slice(start, start + UPLOADED)
                self.resident[part] = torch.from_numpy(np.array(poses[part]))

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        """A copy of some segments, (n, T, 33, 5) float32."""
        if self.resident is None:
            return torch.from_numpy(np.array(self.poses[rows])).to(self.device)
        return self.resident[torch.from_numpy(rows).to(self.device)]


class RecordedStep:
    """A step of a training as a CUDA graph: one call in place of several hundred, which take longer than their work.

    On a CPU, where nothing is recorded, the step is computed with the same inputs.
    """

    def __init__(self, step: Callable[[Batch], torch.Tensor], inputs: Batch, graph: torch.cuda.CUDAGraph | None):
        """graph: an empty one, to record the step with; torch's current stream must not be the default one."""
        self.step, self.inputs, self.graph = step, inputs, graph
        if graph is not None:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self.result = step(inputs)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """The result of the step for this batch; it is a copy that the next call does not change."""
        for mine, new in zip(self.inputs, batch, strict=True):
            mine.copy_(new, non_blocking=True)
        if self.graph is None:
            return self.step(self.inputs)
        self.graph.replay()
        return self.result.clone()


def empty_batch(size: int, frames: int, mixes: bool, device: torch.device) -> Batch:
    """A batch of zeros, for the inputs of a `RecordedStep`; its features lie in memory as `build_features` gives them.

    mixes: whether the segments are mixed in pairs.
    """
    features = torch.zeros(size, frames, 33, 14, device=device).permute(0, 3, 2, 1)
    labels, targets = torch.zeros(2, size, device=device)
    part = torch.zeros(size if mixes else 0, device=device)
    return Batch(features, labels, targets, part, torch.zeros(len(part), dtype=torch.int64, device=device))


@contextlib.contextmanager
def own_random_state(generator: torch.Generator) -> Iterator[None]:
    """Inside, torch's default generator of the device of `generator` continues as that one, which goes on with it.

    So dropout has random numbers that depend on no other fold beside it.
    """
    if generator.device.type == "cuda":
        default = torch.cuda.default_generators[generator.device.index or 0]
        before = default.graphsafe_get_state()
        default.graphsafe_set_state(generator)  # shared, also with a graph that is recorded meanwhile
        try:
            yield
        finally:
            default.graphsafe_set_state(before)
    else:
        default, kept = torch.default_generator, torch.get_rng_state()
        default.set_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(default.get_state())
            default.set_state(kept)


def make_repeatable() -> None:
    """Let cuDNN use only algorithms that give the same bytes every time, and compute float32 as float32."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # torch's default for convolutions, with 10 bits in place of 23


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a device was full, whichever library noticed it."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)
    )


def free_memory() -> None:
    """Return the memory of what is no longer used to the device."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
