"""Epileptic spasms of a simulated child: kinds, shapes and clusters.

Numbers with a source name it. All others, marked or not, are assumed and rest on no measurement.
"""

import dataclasses

import numpy as np

from spasm.data.pose import FPS
from spasm.simulation.behaviours import COLUMNS, Behaviour, Stroke, columns, varied
from spasm.simulation.body import SIDES

# Of 5042 spasms: flexor 33.9 %, extensor 22.5 %, mixed 42.0 %, arrest alone 1.0 %; 78.3 % came in clusters; 21
# of 24 children had more than one kind (Kellaway, Hrachovy, Frost and Zion 1979, Annals of Neurology 6:214-218).
KIND_FRACTIONS = {"flexor": 0.34, "extensor": 0.225, "mixed": 0.425, "arrest": 0.01}
IN_CLUSTERS = 0.783
# Reach of each joint in a usual spasm, in degrees (assumed).
REACH: dict[str, dict[str, float]] = {
    "flexor": {
        "neck_flexion": 46, "trunk_flexion": 36, "shrug": 9, "shoulder_out": -38, "shoulder_forward": 42,
        "arm_roll": -75, "elbow": 28, "hip_forward": 52, "knee": 25,
    },
    "extensor": {
        "neck_flexion": -42, "trunk_flexion": -25, "shrug": 9, "shoulder_out": 56, "shoulder_forward": -20,
        "elbow": -66, "wrist": -20, "hip_forward": -50, "knee": -66, "ankle": -24,
    },
    "mixed": {
        "neck_flexion": 44, "trunk_flexion": 31, "shrug": 12, "shoulder_out": 48, "shoulder_forward": 34, "elbow": -54,
        "hip_forward": -30, "knee": -60, "ankle": -16,
    },
    "arrest": {},
}  # fmt: skip
# Two spasms in five are subtle: a nod, a shrug, or a weak form of a usual one (the fraction was set for this simulator;
# Wang and Cai 2007, PMID 17456338, report 273 subtle and 681 plain ones; forms: ILAE; amplitudes are assumed).
SUBTLE = 0.4
NOD = {"neck_flexion": 36, "trunk_flexion": 10}
SHRUG = {"shrug": 24, "shoulder_out": 22, "neck_flexion": 11, "elbow": 12}
GRIMACE = 0.34  # of a usual spasm
# 85.7 % of 681 lasted 0.4 to 3 s and 14.3 % 3 to 7 s (Wang and Cai 2007).
LONG = 0.143
# Within the shorter range the middle is 1.2 s (assumed). A rise takes 0.1 to 0.4 s (set for this simulator; no
# measured value was found), and the large ones the upper half of that, because a limb does not move with ten times
# the force of a kick.
USUAL_S = (0.18, 0.5)
RISE_S, SUBTLE_RISE_S = (0.2, 0.4), (0.1, 0.4)
STRONGEST = {False: 1.5, True: 1.2}  # plain and subtle, of a usual spasm (assumed)
# One in four of 8680 spasms in surgical candidates was asymmetric (Gaily et al. 1995, Epilepsia 36), 0.6 % of
# Kellaway's: children differ, one in ten over all here (assumed).
ASYMMETRIC = (0.3, 2.7)
# Muscles start up to 0.1 to 0.2 s apart, in no fixed order (Bisulli et al. 2002, Epilepsia); mostly less here.
LATEST_S = 0.15
# Every 5 to 30 s within a cluster (Medscape 1176431; 5 to 10 s: epilepsy.com): median and spread of the logarithm.
INTERVAL_S = (11.0, 0.5)
SHORTEST_INTERVAL_S = 3.0


@dataclasses.dataclass(frozen=True)
class Semiology:
    """The style of one child's spasms."""

    fractions: tuple[float, ...]  # of the kinds, in the order of KIND_FRACTIONS
    strength: float  # 1 is usual
    asymmetric: float  # fraction of spasms with one side ahead
    side: str  # the leading side


@dataclasses.dataclass(frozen=True)
class Spasm:
    """One spasm; times in seconds from the first frame, so that `onset_s` may be negative."""

    kind: str
    onset_s: float
    rise_s: float
    hold_s: float
    release_s: float
    reach: np.ndarray  # (38,) at its greatest
    late_s: np.ndarray  # (38,)

    @property
    def end_s(self) -> float:
        return self.onset_s + self.rise_s + self.hold_s + self.release_s

    def frames(self, frames: int) -> tuple[int, int]:
        """First frame and end (exclusive) inside a segment of `frames`; equal when nothing lies inside."""
        start, end = (min(max(round(at_s * FPS), 0), frames) for at_s in (self.onset_s, self.end_s))
        return start, end

    def at(self, onset_s: float) -> "Spasm":
        return dataclasses.replace(self, onset_s=onset_s)

    def behaviour(self, name: str = "") -> Behaviour:
        """As a movement: a phasic contraction that soon drops by half, and a weaker tonic one that fades slowly.

        Form: Symptomatology of infantile spasms, Brain and Development 2001; the split between the two is assumed.
        """
        if self.kind == "arrest":
            return Behaviour(name or self.kind, self.onset_s, self.end_s, ())
        phasic_s = max(self.rise_s, min(0.4, 0.6 * self.release_s))
        tonic = Stroke(self.onset_s, self.rise_s, self.hold_s, self.release_s, 0.55 * self.reach, self.late_s)
        phasic = Stroke(self.onset_s, self.rise_s, 0.4 * self.hold_s, phasic_s, 0.45 * self.reach, self.late_s)
        return Behaviour(name or self.kind, self.onset_s, self.end_s, (tonic, phasic))


def sample_semiology(rng: np.random.Generator) -> Semiology:
    """A child's own mixture: most have more than one kind (Kellaway et al. 1979); how much they differ is assumed."""
    fractions = rng.dirichlet(4 * np.array(list(KIND_FRACTIONS.values())) / sum(KIND_FRACTIONS.values()))
    return Semiology(tuple(fractions), rng.lognormal(0.3, 0.2), rng.beta(*ASYMMETRIC), str(rng.choice(list(SIDES))))


def sample_spasm(rng: np.random.Generator, semiology: Semiology, onset_s: float = 0.0, cluster: float = 1.0) -> Spasm:
    """A spasm of this child; `cluster` is the strength at its position in a cluster; other numbers are assumed."""
    kind = str(rng.choice(list(KIND_FRACTIONS), p=semiology.fractions))
    length_s = rng.uniform(3, 7) if rng.random() < LONG else float(np.clip(rng.lognormal(*USUAL_S), 0.4, 3))
    subtle = rng.random() < SUBTLE
    rise_s = min(rng.uniform(*(SUBTLE_RISE_S if subtle else RISE_S)), 0.4 * length_s)
    hold_s = rng.uniform(0.1, 0.3) * (length_s - rise_s)
    strength = min(semiology.strength * cluster * rng.lognormal(0, 0.3), STRONGEST[subtle])
    if subtle:
        back = {"neck_flexion": -1, "trunk_flexion": -1} if kind == "extensor" else {}
        nod, shrug = ({name: by * back.get(name, 1) for name, by in form.items()} for form in (NOD, SHRUG))
        grimace = {name: GRIMACE * by for name, by in REACH[kind].items()}
        table = (nod, shrug, grimace)[rng.choice(3, p=(0.4, 0.25, 0.35))]
    else:
        table = REACH[kind]
    reach = varied(rng, table)
    late_s = rng.uniform(0, LATEST_S, len(COLUMNS)) * rng.random()
    if rng.random() < semiology.asymmetric:
        behind = columns({name: 1 for name in table if f"left_{name}" in COLUMNS}, _other(semiology.side))
        weaker = rng.uniform(0.2, 0.7)
        reach = reach * np.where(behind > 0, weaker, 1) + columns(
            {"neck_turn": 12 if semiology.side == "left" else -12}
        )
        late_s = late_s + behind * rng.uniform(0, 0.08)
    if kind == "arrest":
        reach = np.zeros(len(COLUMNS))
    return Spasm(kind, onset_s, rise_s, hold_s, length_s - rise_s - hold_s, strength * reach, late_s)


def sample_interval_s(rng: np.random.Generator) -> float:
    """From one onset to the next within a cluster."""
    return max(SHORTEST_INTERVAL_S, rng.lognormal(np.log(INTERVAL_S[0]), INTERVAL_S[1]))


def sample_cluster(rng: np.random.Generator, semiology: Semiology, onset_s: float) -> list[Spasm]:
    """A cluster from `onset_s` on: strength rises to a peak and falls (Kellaway et al. 1979).

    A few to more than a hundred spasms (gpnotebook), 10 to 20 in West's own account of 1841: median 14.
    """
    count = int(np.clip(round(rng.lognormal(np.log(14), 0.6)), 3, 120))
    peak = rng.uniform(0.25, 0.6) * (count - 1)
    spasms: list[Spasm] = []
    for n in range(count):
        place = 1 - abs(n - peak) / max(peak, count - 1 - peak)
        # A spasm begins after the end of the previous one.
        onset_s = max(onset_s, spasms[-1].end_s + 0.5) if spasms else onset_s
        spasms.append(sample_spasm(rng, semiology, onset_s, 0.55 + 0.6 * place))
        onset_s += sample_interval_s(rng)
    return spasms


def _other(side: str) -> str:
    return next(name for name in SIDES if name != side)
