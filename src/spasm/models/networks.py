"""The networks, one file each, with one signature: features (N, 14, 33, T) in, `Scores` out.

Each also has `folded()`, which returns a copy for scoring.
"""

from typing import TypeAlias

from spasm.models.sta_gunet import StaGunet
from spasm.models.stam import Stam
from spasm.models.stgcn_mil import StgcnMil
from spasm.models.two_stream import TwoStream
from spasm.models.vsvig import Vsvig

AnyNetwork: TypeAlias = StgcnMil | Stam | StaGunet | Vsvig | TwoStream
# The place in this order is part of each network's seeds.
NETWORKS: dict[str, type[AnyNetwork]] = {
    "stgcn_mil": StgcnMil,
    "stam": Stam,
    "sta_gunet": StaGunet,
    "vsvig": Vsvig,
    "two_stream": TwoStream,
}
