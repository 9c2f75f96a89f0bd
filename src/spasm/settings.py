"""Every setting of every script: frozen dataclasses whose defaults are the solution we would submit.

The command line is made from them (`command_line.py`), and so is the `settings` part of a member's manifest.
"""

import dataclasses
import itertools
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import tyro

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class SettingsError(ValueError):
    """A setting that is unknown, of the wrong type, or out of range; the message names the nearest valid one."""


@dataclasses.dataclass(frozen=True)
class Between:
    """The closed range a number must lie in."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Odd:
    """Marks a whole number that must be odd."""


@dataclasses.dataclass(frozen=True)
class Plain:
    """Marks a text that goes into a file as it is: letters, digits, _ and - only."""


class Checked:
    """Refuses values outside the range that a field's annotation gives."""

    def __post_init__(self) -> None:
        for name, annotation in typing.get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            for limit in getattr(annotation, "__metadata__", ()):
                if isinstance(limit, Between) and value is not None and not limit.low <= value <= limit.high:
                    nearest = limit.low if not value >= limit.low else limit.high
                    raise SettingsError(
                        f"--{name.replace('_', '-')} {value} is outside {limit.low} to {limit.high}; "
                        f"the nearest valid value is {nearest}"
                    )
                if isinstance(limit, Odd) and value % 2 == 0:
                    raise SettingsError(
                        f"--{name.replace('_', '-')} {value} is not odd; the nearest valid value is {value - 1}"
                    )
                if isinstance(limit, Plain) and not re.fullmatch(r"[A-Za-z0-9_-]+", value):
                    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", value) or "segment_name"
                    raise SettingsError(f"--{name} {value!r} is not a plain name; the nearest valid value is {plain}")


Probability = Annotated[float, Between(0, 1)]
Count = Annotated[int, Between(1, 1_000_000)]
Seed = Annotated[int, Between(0, 2**31 - 1)]
Films = Annotated[int, Between(1, 100_000)]


@dataclasses.dataclass(frozen=True)
class Data(Checked):
    """What is read."""

    data: Path = Path("input")
    """Folder with train/, train_data.csv and, if wanted, test/ and groups.csv."""
    frames: Annotated[int | None, Between(16, 100_000)] = None
    """Frames in every segment (T); 150, or what the data's own format says. Files of another length are refused."""
    names: Literal["challenge", "safe"] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""


@dataclasses.dataclass(frozen=True)
class Features(Checked):
    """How a pose becomes channels."""

    root: Literal["interpolate", "hold"] = "interpolate"
    """Where the hips are missing: interpolated through the gap, or the last valid place held (as published)."""
    # Off: it did worse in the one trial on Kinder-Gator.
    body_scale: bool = False
    """Divide by the segment's median torso length."""
    aspect: Annotated[float, Between(0.1, 10)] = 1.0
    """Picture width divided by height, when known; 1 leaves x and y as they are."""


@dataclasses.dataclass(frozen=True)
class Augmentation(Checked):
    """Random changes to the training poses."""

    mirror: Probability = 0.5
    """Chance of mirroring, left and right swapped."""
    rotation_deg: Annotated[float, Between(0, 180)] = 15.0
    """Largest rotation in the picture, in degrees either way."""
    zoom: Annotated[float, Between(0, 2)] = 0.2
    """Largest zoom in or out, as a natural logarithm."""
    stretch: Annotated[float, Between(0, 2)] = 0.2
    """Largest change of the aspect ratio, as a natural logarithm."""
    shift_frames: Annotated[int, Between(0, 100_000)] = 10
    """Largest shift in time, in frames either way; what comes in from outside is missing."""
    jitter: Annotated[float, Between(0, 1)] = 0.001
    """Standard deviation of noise on x, y and z, in picture units."""
    drop_landmark: Probability = 0.02
    """Chance that a landmark is missing for the whole segment."""
    gap: Probability = 0.2
    """Chance of a gap, in which every landmark is missing."""
    gap_frames: Annotated[int, Between(1, 100_000)] = 30
    """Longest gap, in frames."""


@dataclasses.dataclass(frozen=True)
class Network(Checked):
    """The networks' sizes; not every network has all of them, and one that has not refuses other than the default."""

    width: Annotated[int, Between(4, 1024)] = 64
    """Channels of the first blocks. VSViG: 24 is its base size, 12 its light one; even numbers only."""
    blocks: Annotated[int, Between(1, 16)] = 4
    """Blocks of the ST-GCN, with temporal strides 2, 2, 1, 1."""
    kernel: Annotated[int, Between(1, 51), Odd()] = 9
    """Frames seen by a temporal convolution (odd)."""
    dropout: Annotated[float, Between(0, 0.9)] = 0.15
    """Share of channels dropped while training."""
    head: Literal["attn", "topk", "logsumexp"] = "attn"
    """How frames, or the clips of the two-stream network, become one answer."""
    backbone: Literal["small", "resnet18", "resnet50"] = "small"
    """Backbone of both streams of the two-stream network."""
    weights: str = ""
    """File with a torchvision state dict, such as ImageNet's, that both streams start from; by default none."""


@dataclasses.dataclass(frozen=True)
class Fit(Checked):
    """How one fold is trained."""

    epochs: Annotated[int, Between(1, 10_000)] = 20
    """Passes over the training segments."""
    batch: Annotated[int, Between(2, 4096)] = 32
    """Segments in a step."""
    learning_rate: Annotated[float, Between(1e-6, 1)] = 3e-3
    """Highest learning rate (AdamW)."""
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    """Course of the learning rate: up and down, or down only."""
    weight_decay: Annotated[float, Between(0, 1)] = 0.01
    """Weight decay (AdamW)."""
    loss: Literal["weighted", "focal", "plain", "squared"] = "weighted"
    """Cross-entropy with the rarer class weighted up, focal loss likewise, plain cross-entropy, or the squared error of
    the probability, which follows onsets.csv where there is one."""
    focal_gamma: Annotated[float, Between(0, 10)] = 2.0
    """How strongly the focal loss discounts easy segments."""
    triplet: Annotated[float, Between(0, 100)] = 0.0
    """Weight of the triplet-centre loss, which STA-GUNet alone has; its margin is 1, a tenth less in each epoch."""
    ema: Annotated[float, Between(0, 0.99999)] = 0.99
    """Decay per step of the running average of the weights, which is what is scored; 0 scores the last weights."""
    clip_norm: Annotated[float, Between(0.001, 1_000_000)] = 1.0
    """Largest norm of a step's gradient."""


@dataclasses.dataclass(frozen=True)
class Boosting(Checked):
    """Gradient boosting by LightGBM on kinematic statistics."""

    rounds: Annotated[int, Between(1, 10_000)] = 200
    """Trees."""
    shrinkage: Annotated[float, Between(1e-4, 1)] = 0.05
    """How much each tree adds (LightGBM's learning_rate)."""
    leaves: Annotated[int, Between(2, 1024)] = 7
    """Leaves of a tree."""
    leaf_segments: Annotated[int, Between(1, 10_000)] = 10
    """Fewest training segments in a leaf."""
    statistics_share: Annotated[float, Between(0.01, 1)] = 0.3
    """Share of the statistics that a tree may use."""
    bag_share: Annotated[float, Between(0.1, 1)] = 0.8
    """Share of the training segments that a tree sees."""
    shrink_leaves: Annotated[float, Between(0, 1000)] = 1.0
    """L2 penalty on the leaves' values."""
    gaps: bool = False
    """Also use the statistics of gaps and visibility, which tell more of the camera than of the child."""


@dataclasses.dataclass(frozen=True)
class Convolutions(Checked):
    """Random convolutions, pooled over time, under a ridge classifier."""

    biases: Annotated[int, Between(1, 64)] = 4
    """Thresholds for each kernel, dilation and pooling."""
    copies: Annotated[int, Between(0, 16)] = 2
    """Randomly changed copies of each training segment that are trained on beside it."""


Model: TypeAlias = Literal["stgcn_mil", "stam", "sta_gunet", "vsvig", "two_stream"]
# The settings of `Network` that each network has.
SIZES = {
    "stgcn_mil": ("width", "blocks", "kernel", "dropout", "head"),
    "stam": ("width", "kernel", "dropout"),
    "sta_gunet": ("width", "kernel", "dropout"),
    "vsvig": ("width", "dropout"),
    "two_stream": ("width", "dropout", "head", "backbone", "weights"),
}


@dataclasses.dataclass(frozen=True)
class Member(Checked):
    """Everything that decides what a network learns; a member refuses to continue under other values."""

    model: Model = "stgcn_mil"
    """Network; the defaults of other settings follow it."""
    features: Features = Features()
    augmentation: Augmentation = Augmentation()
    network: Network = Network()
    fit: Fit = Fit()

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = Network()
        for field in dataclasses.fields(Network):
            default = getattr(usual, field.name)
            if field.name not in SIZES[self.model] and getattr(self.network, field.name) != default:
                raise SettingsError(f"--{field.name} has no effect on --model {self.model}: leave it at {default!r}")
        if self.model == "vsvig" and self.network.width % 2:
            nearest = self.network.width - 1
            raise SettingsError(
                f"--width {nearest + 1} is odd, for --model vsvig; the nearest valid value is {nearest}"
            )
        if self.fit.triplet and self.model != "sta_gunet":
            raise SettingsError(f"--triplet has no effect on --model {self.model}: leave it at 0.0")


# What each network is trained with by default, from the searches that README.md describes. STAM, STA-GUNet and VSViG
# (light) have their published sizes; what the two-stream network draws is small, and so is its backbone.
MEMBERS: dict[str, Member] = {
    "stgcn_mil": Member(),
    "stam": Member(model="stam", fit=Fit(epochs=8, batch=16, learning_rate=2e-3, ema=0.97)),
    "sta_gunet": Member(
        model="sta_gunet",
        fit=Fit(epochs=6, batch=16, learning_rate=2e-3, loss="focal", triplet=0.1, ema=0.97),
    ),
    "vsvig": Member(
        model="vsvig", network=Network(width=12), fit=Fit(epochs=12, batch=16, learning_rate=3e-3, ema=0.97)
    ),
    "two_stream": Member(
        model="two_stream",
        network=Network(width=16, dropout=0.35),
        fit=Fit(learning_rate=1.7e-3, loss="focal", ema=0.97),
    ),
}


@dataclasses.dataclass(frozen=True)
class LgbmMember(Checked):
    """Everything that decides what the LightGBM member learns."""

    boosting: Boosting = Boosting()


@dataclasses.dataclass(frozen=True)
class RocketMember(Checked):
    """Everything that decides what the random convolutions learn."""

    features: Features = Features(body_scale=True)
    augmentation: Augmentation = Augmentation()
    convolutions: Convolutions = Convolutions()


@dataclasses.dataclass(frozen=True)
class Blend(Checked):
    """How members become one answer."""

    averaging: Literal["probability", "logit", "percentile"] = "logit"
    """What is averaged over members: probabilities, log-odds, or places among the out-of-fold scores."""
    fold_averaging: Literal["probability", "logit"] = "probability"
    """What is averaged over the folds that answer a new segment: probabilities or log-odds."""
    context: bool = False
    """Let a second stage see each segment beside the same child's other segments; needs five or more of a child."""
    # On ten sets of out-of-fold rows of Kinder-Gator the cross-fitted F1 was 0.902 on average, against 0.890.
    threshold: Literal["expected", "observed"] = "expected"
    """Highest F1 expected of the calibrated probabilities, or observed on the labels."""
    prevalence: Annotated[float | None, Between(0.001, 0.999)] = None
    """Share of positives to choose the threshold for, if it is known; otherwise that of the training data."""
    blend_trials: Annotated[int, Between(1, 100_000)] = 100
    """Trials of the search for the weights."""
    blend_seed: Seed = 0
    """Seed of that search."""


@dataclasses.dataclass(frozen=True)
class Folds(Checked):
    """How children are dealt into folds."""

    folds: Annotated[int, Between(2, 100)] = 5
    """Folds."""
    fold_kind: Literal["stratified", "grouped"] = "stratified"
    """Whole children either way; stratified also evens out the share of positives."""
    fold_seed: Seed = 0
    """Seed of the folds; --seed never changes them."""
    folds_file: Path | None = None
    """CSV with segment_name and fold, instead of the three settings above."""


@dataclasses.dataclass(frozen=True)
class Hardware(Checked):
    """What computes."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run; auto takes a GPU when there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the convolutions; auto takes bfloat16 where the hardware multiplies it."""


@dataclasses.dataclass(frozen=True)
class Train(Checked):
    """Flags that every training script has."""

    read: Data = Data()
    run: Path = Path("output/main")
    """Run folder to write or to continue."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""
    fold: Annotated[int | None, Between(0, 99)] = None
    """Train this fold only, counted from 0."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Folds trained side by side, one thread each; 0 means one per CPU core."""
    seed: Seed = 0
    """Seed of the training; each seed adds to the same run."""
    split: Folds = Folds()


@dataclasses.dataclass(frozen=True)
class TrainFolds(Train):
    """Flags of train_folds.py."""

    hardware: Hardware = Hardware()
    tensorboard: bool = False
    """Write learning curves too, to be watched by tensorboard --logdir RUN; needs requirements-report.txt."""
    member: Member = Member()

    @classmethod
    def default_for(cls, words: Sequence[str]) -> "TrainFolds":
        """The defaults under the model that a command line names."""
        named = [after for word, after in itertools.pairwise([*words, ""]) if word == "--model"]
        named += [word.removeprefix("--model=") for word in words if word.startswith("--model=")]
        return cls(member=MEMBERS.get(named[-1], Member()) if named else Member())


@dataclasses.dataclass(frozen=True)
class TrainLgbm(Train):
    """Flags of train_lgbm.py."""

    member: LgbmMember = LgbmMember()


@dataclasses.dataclass(frozen=True)
class TrainRocket(Train):
    """Flags of train_rocket.py."""

    member: RocketMember = RocketMember()


@dataclasses.dataclass(frozen=True)
class OfRun(Checked):
    """Flags of scripts that open a run with the data it was trained on."""

    data: Path | None = None
    """Folder of the training data, if it has moved since the run was made."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""


@dataclasses.dataclass(frozen=True)
class BlendMembers(OfRun):
    """Flags of blend.py."""

    run: Path = Path("output/main")
    """Run folder whose trained members are blended."""
    members: tuple[str, ...] = ()
    """Members to blend; all that are trained, if none is named."""
    blend: Blend = Blend()


@dataclasses.dataclass(frozen=True)
class Transfer(Checked):
    """Flags of transfer.py."""

    read: Data = Data()
    out: Path = Path("output/transfer")
    """Folder for the runs and the answers; runs that are there are continued."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""
    members: tuple[str, ...] = ("lgbm", "rocket")
    """Members to train and blend: lgbm, rocket, stgcn_mil, stam, sta_gunet, vsvig, two_stream. Each is trained once for
    every part."""
    by: str = ""
    """Column of groups.csv, each value of which is held out in turn; otherwise folds of children are. "segment" deals
    segments without regard to children: that is the usual mistake, to see what it pretends."""
    parts: Annotated[int, Between(2, 100)] = 5
    """Folds to hold out in turn."""
    part_seed: Seed = 0
    """Seed of these folds."""
    averaging: Literal["probability", "logit", "percentile"] = "logit"
    """As in blend.py."""
    fold_averaging: Literal["probability", "logit"] = "probability"
    """As in blend.py."""
    context: bool = False
    """As in blend.py."""
    shuffle_labels: bool = False
    """Train on shuffled labels, to see that nothing leaks: AUC must come out near 0.5."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Folds trained side by side; 0 means one per CPU core."""
    seed: Seed = 0
    """Seed of the training."""


@dataclasses.dataclass(frozen=True)
class Compare(Checked):
    """Flags of compare.py."""

    read: Data = Data()
    out: Path = Path("output/compare")
    """Folder for the run and the table; what is trained there is continued, model by model."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""
    models: tuple[str, ...] = (*MEMBERS, "lgbm", "rocket")
    """What to train, by commas or spaces: stgcn_mil, stam, sta_gunet, vsvig, two_stream, lgbm, rocket."""
    seeds: Annotated[int, Between(1, 100)] = 3
    """Seeds to train each with, counted from 0: single runs decide nothing."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Folds trained side by side; 0 means one per CPU core."""
    split: Folds = Folds()


@dataclasses.dataclass(frozen=True)
class Robustness(OfRun):
    """Flags of robustness.py."""

    run: Path = Path("output/main")
    """Run folder to judge; robustness.csv and robustness.png are written there."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Folds scored side by side, one thread each; 0 means one per CPU core."""
    hardware: Hardware = Hardware()


@dataclasses.dataclass(frozen=True)
class Report(OfRun):
    """Flags of report.py."""

    run: Path = Path("output/main")
    """Run folder, with at least one member whose folds are all trained; the report goes into it."""
    films: Films = 1500
    """Segments of 5 s that can be played in the page; of more, the worst, the least certain and a sample are."""
    hardware: Hardware = Hardware()


@dataclasses.dataclass(frozen=True)
class DrawAttention(OfRun):
    """Flags of attention.py."""

    run: Path = Path("output/main")
    """Run folder with a trained STAM."""
    segment: str = ""
    """Name of a training segment; the first positive one, if none is named."""
    out: Path = Path("output/attention.png")
    """Picture to write."""


@dataclasses.dataclass(frozen=True)
class ShiftPrevalence(OfRun):
    """Flags of shift_prevalence.py."""

    run: Path = Path("output/main")
    """Run folder to judge; prevalence.csv is written there."""
    by: str = ""
    """Column of groups.csv: known and new children differ in its value; otherwise they are random halves."""
    splits: Annotated[int, Between(1, 10_000)] = 40
    """Random halves to try."""
    split_seed: Seed = 0
    """Seed of the halves and of what is drawn from them."""


@dataclasses.dataclass(frozen=True)
class Submission(Checked):
    """Flags of submission.py."""

    test: Path = Path("input/test")
    """Folder with the segments to answer."""
    run: Path = Path("output/main")
    """Trained run; it says T and the threshold."""
    out: Path = Path("output/submission.csv")
    """Answer to write; probabilities go beside it."""
    header: Annotated[str, Plain()] = "segment_name"
    """Name of the first column."""
    prevalence: Annotated[float | None, Between(0.001, 0.999)] = None
    """Share of positives among these segments, if it is known: the threshold is chosen again for it."""
    adapt_prevalence: bool = False
    """Estimate that share from these segments, and follow it where the evidence is not thin."""
    abstain: Probability = 0.0
    """Mark segments as too poor to judge where less than this share of landmarks is found inside the picture."""
    names: Literal["challenge", "safe"] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""
    report: bool = False
    """Write a page beside the answer too, in which every segment can be played; needs requirements-report.txt."""
    films: Films = 1500
    """Segments of 5 s that can be played in that page; of more, the most probable, least certain and a sample."""
    hardware: Hardware = Hardware()


@dataclasses.dataclass(frozen=True)
class PoseModel(Checked):
    """Flags of pose_model.py."""

    package: Path = Path("input/models/mediapipe-pose-0.5.1675469404.tgz")
    """The npm package @mediapipe/pose."""
    out: Path = Path("input/models")
    """Folder for pose_landmarker_lite.task, _full.task and _heavy.task."""


@dataclasses.dataclass(frozen=True)
class ExtractPose(Checked):
    """Flags of extract_pose.py."""

    videos: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos: anything OpenCV reads."""
    out: Path = Path("input/videos")
    """Folder to write; videos that are extracted there are not extracted again."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model: lite, full or heavy, as `make pose-model` builds them, or Google's own."""
    child: Annotated[int | None, Between(1, 1_000_000_000)] = None
    """Number of the child that all these videos show; otherwise each video is another child."""
    people: Annotated[int, Between(1, 10)] = 2
    """People looked for in a picture, the infant among them; each costs time."""
    pick: Literal["smallest", "largest", "longest"] = "smallest"
    """Which of the people that stay in the picture is the infant: by size, or whoever is seen longest."""
    frames: Annotated[int, Between(16, 100_000)] = 150
    """Frames in a segment (T)."""
    pictures: Literal["none", "vsvig", "two_stream", "both"] = "none"
    """Pictures to write of each segment: patches around joints, as VSViG reads them, or the infant upright and its
    optical flow, as the two-stream network does. Both show the child."""
    mask_model: Path | None = None
    """Model that tells the infant from the background for two_stream, an ONNX file such as U2-Net's; otherwise the pose
    model does."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Videos extracted side by side; 0 means one for every two CPU cores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_model and self.pictures not in ("two_stream", "both"):
            raise SettingsError("--mask-model is for --pictures two_stream or both")


@dataclasses.dataclass(frozen=True)
class Hysteresis(Checked):
    """When probability over time makes an event."""

    event_on: Probability = 0.85
    """Probability that an event reaches."""
    event_off: Probability = 0.25
    """Probability below which it has not begun, or is over."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.event_off > self.event_on:
            raise SettingsError(
                f"--event-off {self.event_off} is above --event-on; the nearest valid value is {self.event_on}"
            )


@dataclasses.dataclass(frozen=True)
class Accumulation(Checked):
    """When accumulated probabilities of windows make an alarm, after VSViG."""

    sum_windows: Annotated[int, Between(1, 10_000)] = 1
    """Windows whose probabilities are summed."""
    sum_threshold: Annotated[float, Between(0, 10_000)] = 0.9
    """Sum at which the alarm is given."""
    sum_floor: Probability = 0.0
    """Probabilities below this count as 0."""
    refractory_s: Annotated[float, Between(0, 86_400)] = 5.0
    """Seconds after an alarm in which there is no other; at least as long as a window, or one spasm would give two."""


@dataclasses.dataclass(frozen=True)
class Timeline(Checked):
    """Flags of timeline.py."""

    recordings: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Recordings: .npy files (frames, 33, 5) at 30 frames per second, named {child}_{number}.npy; or videos, which
    extract_pose.py turns into such files."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model for videos."""
    camera: str | None = None
    """Watch a camera as it films, in place of recordings: its number, its device, a file, which is played at its own
    pace, or - for a video stream on standard input, such as ffmpeg's."""
    people: Annotated[int, Between(1, 10)] = 2
    """People looked for in a video, the infant among them; each costs time."""
    pick: Literal["smallest", "largest", "longest"] = "smallest"
    """Which of the people that stay in the picture is the infant."""
    child: Annotated[int | None, Between(1, 1_000_000_000)] = None
    """Number of the child that all the videos show; otherwise each video is another child."""
    run: Path = Path("output/main")
    """Trained run that answers; the children of its data must be others."""
    out: Path = Path("output/timeline")
    """Folder to write; recordings that are answered there are not answered again."""
    stride_s: Annotated[float, Between(0.1, 60)] = 1.0
    """Seconds between windows, in tenths."""
    rule: Literal["hysteresis", "accumulation"] = "accumulation"
    """How windows become events. Both find as much; accumulation tells it some four seconds earlier."""
    hysteresis: Hysteresis = Hysteresis()
    accumulation: Accumulation = Accumulation()
    events: Path | None = None
    """CSV of true events (recording, onset_s, offset_s), to judge by and to choose the rule's settings on."""
    choose: bool = True
    """With --events: choose the settings, for each child on the other children; False judges those given."""
    most_false_alarms: Annotated[float | None, Between(0, 3600)] = None
    """Choose the highest sensitivity with at most so many false alarms in an hour; otherwise the highest F1."""
    tolerance_s: Annotated[float, Between(0, 5)] = 1.0
    """Seconds by which an event may miss a true one and still count."""
    hardware: Hardware = Hardware()

    def __post_init__(self) -> None:
        super().__post_init__()
        tenths = round(self.stride_s * 10)
        if abs(self.stride_s * 10 - tenths) > 1e-6:
            nearest = tenths / 10
            raise SettingsError(f"--stride-s {self.stride_s} is not in tenths; the nearest valid value is {nearest}")
        other = Hysteresis() if self.rule == "accumulation" else Accumulation()
        if getattr(self, type(other).__name__.lower()) != other:
            name = type(other).__name__.lower()
            flags = ", ".join("--" + field.name.replace("_", "-") for field in dataclasses.fields(other))
            raise SettingsError(f"{flags} belong to --rule {name}, which is not the rule")


@dataclasses.dataclass(frozen=True)
class Benchmark(Checked):
    """Flags of benchmark.py."""

    frames: Annotated[int, Between(16, 100_000)] = 150
    """Frames in a segment (T)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of our convolutions; the reference's are always float32."""
    repeats: Annotated[int, Between(1, 1000)] = 7
    """Times each is measured, in turn; the median counts."""


@dataclasses.dataclass(frozen=True)
class BenchmarkPublished(Checked):
    """Flags of benchmark_published.py."""

    threads: Annotated[int, Between(1, 256)] = 2
    """Threads of both sides."""
    repeats: Annotated[int, Between(1, 1000)] = 15
    """Times each is measured, in turn; the median counts."""


@dataclasses.dataclass(frozen=True)
class BenchmarkTimeline(Checked):
    """Flags of benchmark_timeline.py."""

    run: Path = Path("output/main")
    """Trained run that answers."""
    models: Path = Path("input/models")
    """Folder of the pose models."""
    stride_s: Annotated[float, Between(0.1, 60)] = 1.0
    """Seconds between windows."""
    minutes: Annotated[float, Between(0.2, 60)] = 5.0
    """Length of the recording that is answered."""
    hardware: Hardware = Hardware()
    repeats: Annotated[int, Between(1, 1000)] = 3
    """Times each is measured; the median counts."""


@dataclasses.dataclass(frozen=True)
class Verify(Checked):
    """Flags of verify.py."""

    read: Data = Data()
    cache: Path = Path("output/cache")
    """Folder for data in other systems' layouts, once converted; may be deleted at any time."""


@dataclasses.dataclass(frozen=True)
class Convert(Checked):
    """Flags of convert.py."""

    read: Data = Data()
    to: Literal["sta_gunet"] = "sta_gunet"
    """Layout to write."""
    out: Path = Path("output/converted")
    """Folder to write; refused when it holds anything."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""


@dataclasses.dataclass(frozen=True)
class Simulate(Checked):
    """Flags of simulate.py."""

    out: Path = Path("input/demo")
    """Folder to write; refused when it holds anything this script did not make."""
    children: Annotated[int, Between(4, 100_000)] = 60
    """Children in train/ and test/ together."""
    segments_per_child: Count = 10
    """Segments of each child."""
    frames: Annotated[int, Between(60, 100_000)] = 150
    """Frames in every segment (T), at 30 frames per second."""
    prevalence: Annotated[float, Between(0, 0.55)] = 0.25
    """Share of positive segments among all; two fifths of the children are controls and have none."""
    mimics: Probability = 0.0
    """Share of the negative segments with a benign movement just like a spasm, which nobody could tell apart."""
    filming: Literal["home", "table", "ward"] = "home"
    """Phones at home, webcams at a table (what the sensor is calibrated on), or a ward's tripod."""
    confound: bool = False
    """Film the controls on a ward, so that a model can cheat by telling cohorts apart."""
    recordings: Annotated[int, Between(0, 100_000)] = 0
    """Long recordings to write into recordings/ beside the segments, with events.csv."""
    minutes: Annotated[float, Between(1, 1440)] = 10.0
    """Length of each recording."""
    preview: bool = False
    """Draw contact sheets and short films of each behaviour into preview/."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Children simulated side by side; 0 means one per CPU core. The files do not depend on it."""
    seed: Seed = 7
    """Seed: the same seed gives the same files, byte for byte."""


@dataclasses.dataclass(frozen=True)
class Calibrate(Checked):
    """Flags of calibrate.py."""

    real: Path | None = None
    """Folder of real windows in the challenge's layout, such as those of InfantLab/babyjokes, to compare with."""
    data: Path = Path("input/demo")
    """Folder written by simulate.py, for --answers."""
    answers: Path | None = None
    """FILE_probabilities.csv of submission.py for test/ of --data: how often its moment lies in a true event."""
    children: Annotated[int, Between(20, 100_000)] = 60
    """Children to simulate for the difficulty; leaks and cohorts take more."""
    segments_per_child: Count = 10
    """Segments of each child."""
    seed: Seed = 7
    """Seed of the simulation."""


@dataclasses.dataclass(frozen=True)
class Tune(Checked):
    """Flags of tune.py."""

    read: Data = Data()
    member: Literal["lgbm", "rocket", Model] = "lgbm"
    """Member whose settings are searched."""
    study: Annotated[str, Plain()] = "main"
    """Name of the study; the same name continues it."""
    storage: str = ""
    """Where trials are kept: a journal file, by default output/studies/STUDY.journal, or the URL of a database, such as
    sqlite:///output/studies.db or postgresql+psycopg://user@host/name, which several machines may share."""
    trials: Annotated[int, Between(1, 1_000_000)] = 50
    """Finished trials that each study shall have."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Trials run side by side, one thread each; 0 means one per CPU core."""
    seed: Seed = 0
    """Seed of every training and of the search."""
    split: Folds = Folds()
    outer_fold: Annotated[int | None, Between(0, 99)] = None
    """Search on the people outside this fold only, scored on the other folds."""
    nested: bool = False
    """Search without each fold in turn, and judge what was chosen, and the defaults, on the people of that fold."""
    out: Path | None = None
    """Result to write; by default output/studies/STUDY.json, or STUDY_outer_F.json, or STUDY_nested.json."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""
    hardware: Hardware = Hardware()


# Settings that a later version added: runs of before know nothing of them and are as their defaults say.
ADDED = ("backbone", "weights", "triplet")


def from_tree(settings_class: type[T], tree: Any) -> T:
    """Settings from a nested dictionary such as a manifest holds; raises SettingsError for a wrong key or type."""
    annotations = typing.get_type_hints(settings_class)
    if isinstance(tree, dict):
        absent = [field for field in dataclasses.fields(settings_class) if field.name in ADDED]
        tree = {field.name: field.default for field in absent} | tree
    if not isinstance(tree, dict) or set(tree) != set(annotations):
        raise SettingsError(f"the settings of {settings_class.__name__} are not those of this version")
    values = {}
    for name, annotation in annotations.items():
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            values[name] = from_tree(annotation, tree[name])
            continue
        if not _fits(tree[name], annotation):
            raise SettingsError(f"the setting {name} cannot be {tree[name]!r}")
        values[name] = tree[name]
    return settings_class(**values)


def _fits(value: Any, annotation: Any) -> bool:
    if typing.get_origin(annotation) is Literal:
        return value in typing.get_args(annotation)
    if typing.get_origin(annotation) is types.UnionType:
        return any(_fits(value, part) for part in typing.get_args(annotation))
    # type() and not isinstance(): True is an int to Python, but not a number of epochs.
    return type(value) in (int, float) if annotation is float else type(value) is annotation
