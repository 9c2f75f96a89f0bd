"""A network for scoring, with batch norms folded into the convolutions before them."""

import copy
import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spasm.models.networks.output import Scores


class Network(nn.Module):
    """Features (N, 14, 33, T) in, `Scores` out."""

    def folded(self, precision: torch.dtype = torch.float32) -> nn.Module:
        """A copy for scoring, with its convolutions in the given precision."""
        return Folded(self, precision)

    @staticmethod
    def stacked(networks: Sequence["Network"], precision: torch.dtype, device: torch.device) -> nn.Module:
        """Folds for scoring on a device: features in, a list of the `Scores` of each fold out."""
        return Folds(network.folded(precision).to(device) for network in networks)

    def auxiliary_loss(self, scores: Scores, labels: torch.Tensor, epoch: int) -> torch.Tensor | None:
        """A loss (N,) to add to that of the prediction; labels (N,) of 0 and 1, epochs count from 0."""
        return None


class Folds(nn.ModuleList):
    """Networks that read the same features, one after another."""

    def forward(self, features: torch.Tensor) -> list[Scores]:
        return [network(features) for network in self]


class Folded(nn.Module):
    """A copy of a network with its batch norms folded into its convolutions, computed in the given precision.

    `FOLDS` of a module lists pairs of attribute names, a convolution and its batch norm. In an `nn.Sequential` a
    batch norm directly after a convolution belongs to it.
    """

    @torch.no_grad()
    def __init__(self, network: nn.Module, precision: torch.dtype) -> None:
        super().__init__()
        self.network, self.precision = copy.deepcopy(network).eval().requires_grad_(False), precision
        for module in self.network.modules():
            if isinstance(module, nn.Sequential):
                parts = list(module)
                for place, (first, second) in enumerate(itertools.pairwise(parts)):
                    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                        module[place], module[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
            for convolution, norm in getattr(module, "FOLDS", ()):
                setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
                setattr(module, norm, nn.Identity())

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The output of the network: `Scores`, or that of a network that reads pictures or sequences."""
        enabled = self.precision != torch.float32
        with torch.autocast(inputs[0].device.type, self.precision if enabled else None, enabled=enabled):
            return self.network(*inputs)


class Pointwise(nn.Sequential):
    """A 1x1 convolution of every `stride`th place, and its norm; (N, C, H, W) to (N, D, H / stride, W / stride).

    The places are chosen here: with fewer than 8 channels, oneDNN's own strided convolution of torch 2.13 ends the
    process while it computes gradients, on processors with AVX2 but not AVX-512.
    """

    def __init__(self, c_in: int, c_out: int, stride: tuple[int, int] = (1, 1), bias: bool = True) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 1, bias=bias), nn.BatchNorm2d(c_out))
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down, across = self.stride
        mapped: torch.Tensor = super().forward(x if self.stride == (1, 1) else x[:, :, ::down, ::across])
        return mapped


N = TypeVar("N", bound=nn.Module)


def channels_last(network: N) -> N:
    """The network itself, with its convolutions in the channels-last format, which is the fastest."""
    # This way to call `to` is in torch's manual, but not in its annotations.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
