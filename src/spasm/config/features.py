"""Settings of the channels that networks read, and of the random changes to training poses and pictures."""

from typing import Annotated, Literal

from spasm.config.fields import Probability, settings, within


@settings
class Features:
    """How a pose becomes channels."""

    frame: Literal["camera", "body"] = "camera"
    """Frame of reference of positions and velocities: the camera's, or the body's, which is upright, in trunk lengths,
    smoothed, and squashes large velocities."""
    root: Literal["interpolate", "hold"] = "interpolate"
    """Hips in a gap: interpolated through it, or held at the last valid place (as published)."""
    # Off: it did worse in the one trial on Kinder-Gator.
    body_scale: bool = False
    """Divide by the segment's median torso length."""
    aspect: Annotated[float, within(0.1, 10)] = 1.0
    """Picture width divided by height, when known; 1 leaves x and y as they are."""


@settings
class Augmentation:
    """Random changes to the training poses."""

    mirror_prob: Probability = 0.5
    """Probability of mirroring, left and right swapped."""
    rotation_deg: Annotated[float, within(0, 180)] = 15.0
    """Largest rotation in the picture, in degrees either way."""
    zoom: Annotated[float, within(0, 2)] = 0.2
    """Largest zoom in or out, as a natural logarithm."""
    aspect_jitter: Annotated[float, within(0, 2)] = 0.2
    """Largest change of the aspect ratio, as a natural logarithm."""
    shift_frames: Annotated[int, within(0, 100_000)] = 10
    """Largest shift in time, in frames either way; frames from outside the segment are missing."""
    jitter: Annotated[float, within(0, 1)] = 0.001
    """Largest standard deviation of noise on x and y of the face, in picture units; other landmarks and z have more, as
    in real infants, and half of the segments have none."""
    drop_landmark_prob: Probability = 0.02
    """Probability that a landmark is missing for the whole segment."""
    drop_limb_prob: Probability = 0.0
    """Probability that an arm, both arms, a leg or both legs are missing for the whole segment, as under a blanket."""
    gap_prob: Probability = 0.5
    """Probability of a gap, in which every landmark is missing."""
    gap_frames: Annotated[int, within(1, 100_000)] = 60
    """Longest gap, in frames."""


@settings
class PictureAugmentation:
    """Random changes to the training pictures, the same in all steps of a segment."""

    mirror_prob: Probability = 0.5
    """Probability of mirroring, left and right swapped."""
    zoom: Annotated[float, within(0, 2)] = 0.2
    """Largest zoom in or out, as a natural logarithm; a movement in the picture becomes larger or smaller with it."""
    shift: Annotated[float, within(0, 0.5)] = 0.1
    """Largest shift of a picture or patch, as a fraction of its side."""
    brightness: Annotated[float, within(0, 2)] = 0.3
    """Largest change of the brightness, as a natural logarithm."""
    tint: Annotated[float, within(0, 2)] = 0.1
    """Largest change of the brightness of a single colour, as a natural logarithm."""
    shift_steps: Annotated[int, within(0, 100_000)] = 2
    """Largest shift in time, in steps (six per second) either way; steps from outside the segment are black."""
