"""What a simulated video shows beside the movement: skin, hair, clothes, light, background, a caregiver's arm.

All of it is sampled from generators of its own, which never see a label, a spasm or a pose, so that no file without
pictures changes, and no appearance gives a label away. A child keeps skin and hair; each of its videos has other
clothes. Colours are (blue, green, red), 0 to 255, as OpenCV has them. All numbers are assumed.
"""

import dataclasses

import numpy as np

from spasm.simulation.camera import pick
from spasm.simulation.infant import generator

Colour = tuple[float, float, float]
STREAM = 7  # last key of the generators of appearance
SKINS: tuple[Colour, ...] = (
    (190, 205, 240), (170, 190, 232), (150, 176, 224), (120, 150, 205), (95, 125, 180), (70, 95, 145), (50, 68, 108),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = ((25, 25, 30), (35, 45, 60), (50, 75, 105), (90, 130, 165), (130, 175, 205), (60, 85, 150))
CLOTHES = {"romper": 0.32, "short_romper": 0.24, "nappy": 0.16, "shirt_and_trousers": 0.28}
PATTERNS = {"plain": 0.45, "stripes": 0.3, "dots": 0.25}
SURFACES = {"plain": 0.25, "checks": 0.2, "stripes": 0.2, "dots": 0.15, "clouds": 0.2}
MOVERS = {"none": 0.5, "toy": 0.2, "curtain": 0.15, "screen": 0.15}
IDLE_ARM = 0.2  # of the videos have an arm that sometimes rests in view


@dataclasses.dataclass(frozen=True)
class ChildLook:
    """What stays with a child."""

    skin: Colour
    hair: Colour
    hairline: float  # cosine on the head up to which hair grows: 1.0 is bald
    cheeks: float


@dataclasses.dataclass(frozen=True)
class Clothes:
    """Clothes of one video."""

    kind: str  # a name in CLOTHES
    pattern: str  # a name in PATTERNS
    upper: Colour
    lower: Colour
    second: Colour  # of stripes and dots
    feet: Colour | None  # socks; None is bare feet
    long_sleeves: bool


@dataclasses.dataclass(frozen=True)
class Look:
    """The appearance of one video."""

    child: ChildLook
    clothes: Clothes
    place: str  # "home", "table" or "ward"
    surface: str  # a name in SURFACES
    colours: tuple[Colour, ...]  # of surface, room and things
    mover: str  # a name in MOVERS
    light: tuple[float, float]  # direction in the picture, from which light comes
    contrast: float  # of light and shade
    warmth: Colour  # gains
    brightness: float
    fall_off: float  # how much darker the far side is
    flicker: tuple[float, float]  # size and hertz
    noise: float  # deviation in grey levels
    soft: float  # 1 is sharp; below, the picture is made smaller and enlarged again
    ghost: float  # share of the frame before, as in the dark
    adult_skin: Colour
    sleeve: Colour
    arm_from: float  # side of the picture from which an arm comes, 0 to 1 around it
    idle_arm: bool
    picture_seed: int  # of textures and things


@dataclasses.dataclass(frozen=True)
class Take:
    """What differs between two segments of one video."""

    phase: float  # of what moves in the background, radians
    noise_seed: int
    idle_s: tuple[float, float]  # when a resting arm comes and goes
    idle_at: tuple[float, float]  # where it rests, fractions of the picture


def sample_child_look(seed: int, child: int) -> ChildLook:
    rng = generator(seed, child, STREAM)
    return ChildLook(
        skin=_near(rng, SKINS[rng.integers(len(SKINS))], 8),
        hair=_near(rng, HAIRS[rng.integers(len(HAIRS))], 10),
        hairline=float(rng.choice([1.0, 0.75, 0.55, 0.35, 0.2], p=[0.15, 0.2, 0.3, 0.25, 0.1])),
        cheeks=float(rng.uniform(0.05, 0.3)),
    )


def sample_look(seed: int, child: int, video: tuple[int, ...], setup: str) -> Look:
    """The look of a child's video; `video` are the keys that distinguish it from the child's other videos.

    setup: a name in CAMERA_SETUPS, the only part of the world that a look depends on.
    """
    rng = generator(seed, child, *video, STREAM)
    ward = generator(seed, 0, STREAM)  # one room for all
    skin = sample_child_look(seed, child).skin
    kind = pick(rng, CLOTHES)
    upper, lower = _cloth(rng), _cloth(rng)
    colours = tuple(_cloth(rng) for _ in range(8))
    surface = pick(rng, SURFACES)
    mover = pick(rng, MOVERS)
    angle = rng.uniform(0, 2 * np.pi)
    warm = rng.normal(0, 0.09)
    look = Look(
        child=sample_child_look(seed, child),
        clothes=Clothes(
            kind=kind,
            pattern=pick(rng, PATTERNS),
            upper=upper,
            lower=lower if kind == "shirt_and_trousers" else upper,
            second=_cloth(rng),
            feet=None if rng.random() < 0.45 else _cloth(rng),
            long_sleeves=bool(rng.random() < 0.6),
        ),
        place=setup,
        surface=surface,
        colours=colours,
        mover=mover,
        light=(float(np.cos(angle)), float(np.sin(angle))),
        contrast=float(rng.uniform(0.3, 0.6)),
        warmth=(float(1 - warm), float(1 - 0.02 * rng.normal()), float(1 + warm)),
        brightness=float(rng.choice([1.0, 0.8, 0.55], p=[0.6, 0.25, 0.15]) * rng.uniform(0.9, 1.1)),
        fall_off=float(rng.uniform(0, 0.4)),
        flicker=(float(rng.choice([0.0, 0.02, 0.05], p=[0.6, 0.3, 0.1])), float(rng.uniform(0.5, 7))),
        noise=float(rng.choice([1.5, 3.0, 6.0], p=[0.45, 0.4, 0.15]) * rng.uniform(0.8, 1.2)),
        soft=float(rng.choice([1.0, 0.7, 0.45], p=[0.6, 0.3, 0.1])),
        ghost=float(rng.choice([0.0, 0.25], p=[0.7, 0.3])),
        adult_skin=_near(rng, skin, 14),
        sleeve=_cloth(rng),
        arm_from=float(rng.random()),
        idle_arm=bool(rng.random() < IDLE_ARM),
        picture_seed=int(rng.integers(2**31)),
    )
    if setup != "ward":
        return look
    return dataclasses.replace(
        look,
        surface="plain",
        colours=tuple(_near(ward, colour, 6) for colour in ((225, 222, 212), (190, 180, 150), *[(170, 170, 165)] * 6)),
        mover="none",
        warmth=(1.04, 1.0, 0.97),
        brightness=float(rng.uniform(0.9, 1.05)),
        picture_seed=int(ward.integers(2**31)),
    )


def sample_take(seed: int, child: int, keys: tuple[int, ...], length_s: float) -> Take:
    """`keys` distinguish the take from the child's other ones; `length_s` bounds the visit of a resting arm."""
    rng = generator(seed, child, *keys, STREAM)
    come_s = float(rng.uniform(-0.5, 1) * length_s)
    return Take(
        phase=float(rng.uniform(0, 2 * np.pi)),
        noise_seed=int(rng.integers(2**31)),
        idle_s=(come_s, come_s + float(rng.uniform(0.4, 1.2) * min(length_s, 60))),
        idle_at=(float(rng.uniform(0.15, 0.85)), float(rng.uniform(0.15, 0.85))),
    )


def _near(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """A colour near another one: lighter or darker as a whole, and a little other in hue."""
    value = np.clip(np.array(colour) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 0, 255)
    return float(value[0]), float(value[1]), float(value[2])


def _cloth(rng: np.random.Generator) -> Colour:
    """Any colour; babies' things are mostly light and pale."""
    value = np.clip(rng.uniform(60, 245) + rng.normal(0, 38, 3), 15, 250)
    return float(value[0]), float(value[1]), float(value[2])
