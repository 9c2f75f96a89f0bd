"""The networks, one file each, with one signature: features (N, 14, 33, T) in, `Scores` out.

Each also has `folded()`, which returns a copy for scoring.
"""

from spasm.models.stgcn_mil import StgcnMil

NETWORKS = {"stgcn_mil": StgcnMil}
