"""The networks, one file each, with one signature: features (N, 14, 33, T) in, `Scores` out.

Each also has `folded()`, which returns a copy for scoring.
"""

from spasm.models.sta_gunet import StaGunet
from spasm.models.stam import Stam
from spasm.models.stgcn_mil import StgcnMil
from spasm.models.two_stream import TwoStream
from spasm.models.vsvig import Vsvig

# The place in this order is part of each network's seeds.
NETWORKS = {"stgcn_mil": StgcnMil, "stam": Stam, "sta_gunet": StaGunet, "vsvig": Vsvig, "two_stream": TwoStream}
