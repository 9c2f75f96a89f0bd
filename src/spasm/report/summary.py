"""The head of the page: verdict, four cards, confusion matrix, and how often a probability came true."""

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from spasm.evaluation import curves
from spasm.evaluation.curves import Bin
from spasm.evaluation.metrics import ROWS
from spasm.report.predictions import percent
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import Metric, Metrics
from spasm.runs.oof_table import OofTable

ON_CARDS = ("f1", "sensitivity", "precision", "auc", "always_positive_f1")
WORTH_OF = 0.7  # the probability that a sentence explains
EXACT, NEAR = 0.005, 0.03  # how far a fraction in words may be from the value, without and with "about"


@dataclasses.dataclass(frozen=True)
class Card:
    """A large number with what it means."""

    name: str
    value: str
    meaning: str
    range: str


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Segments by true label and predicted label."""

    found: int
    missed: int
    false_alarms: int
    correctly_negative: int

    @property
    def spasms(self) -> int:
        """Segments with a spasm."""
        return self.found + self.missed

    @property
    def alarms(self) -> int:
        """Segments predicted positive."""
        return self.found + self.false_alarms


def verdict(report: RunReport) -> str:
    """The result in one line."""
    predictions = report.predictions
    if predictions.labels is None:
        children, too_little = np.asarray(predictions.children), predictions.too_little_seen
        positive = predictions.positive & ~too_little
        line = (
            f"{int(positive.sum())} of {len(children)} segments are predicted positive, "
            f"in {len(set(children[positive]))} of {len(set(children))} children."
        )
        if too_little.any():
            line += f" {int(too_little.sum())} could not be predicted, since too little was seen."
        return line
    return how_good(confusion(report.oof))


def how_good(counts: Confusion) -> str:
    """How many spasms are found, and how many alarms are false."""
    found = f"{small_fraction(counts.found, counts.spasms, 'of')} spasms"
    if counts.found in (0, counts.spasms):
        found = "every spasm" if counts.found else "no spasm"
    return f"Finds {found}; {false_alarms(counts.false_alarms, counts.alarms)}."


def false_alarms(false: int, alarms: int) -> str:
    """How many alarms are false, in words."""
    if not alarms:
        return "raises no alarm"
    if false in (0, alarms):
        return f"{'every' if false else 'no'} alarm is false"
    words = small_fraction(false, alarms, "in")
    return f"{words} alarms {'is' if re.match(r'(about )?1 ', words) else 'are'} false"


def small_fraction(part: int, whole: int, joint: str) -> str:
    """A fraction between 0 and 1 with small numbers, such as "about 2 of 3"; joint: "of" or "in"."""
    value = part / whole
    for total in (*range(2, 11), 20, 50, 100):
        count = round(value * total)
        if 0 < count < total and abs(count / total - value) <= NEAR:
            about = "" if abs(count / total - value) <= EXACT else "about "
            return f"{about}{count} {joint} {total}"
    return f"{part} {joint} {whole}"


def confusion(oof: OofTable) -> Confusion:
    """Counts at the cross-fitted thresholds."""
    truth = oof.labels == 1
    pairs = ((truth, oof.positive), (truth, ~oof.positive), (~truth, oof.positive), (~truth, ~oof.positive))
    return Confusion(*(int((one & other).sum()) for one, other in pairs))


def cards(metrics: Mapping[str, Metric], counts: Confusion) -> list[Card]:
    """The four numbers that come first."""
    pairs = round(100 * (metrics["auc"].value or 0))
    return [
        Card(
            "F1",
            three_digits(metrics["f1"].value),
            f"predicting “spasm” always scores {three_digits(metrics['always_positive_f1'].value)}",
            _range(metrics["f1"], three_digits),
        ),
        Card(
            "Sensitivity",
            _percent(metrics["sensitivity"]),
            f"{counts.found} of {counts.spasms} segments with a spasm are found",
            _range(metrics["sensitivity"], percent),
        ),
        Card(
            "Precision",
            _percent(metrics["precision"]),
            f"{counts.found} of {counts.alarms} alarms are right",
            _range(metrics["precision"], percent),
        ),
        Card(
            "AUC",
            three_digits(metrics["auc"].value),
            f"in {pairs} of 100 pairs the spasm gets the higher probability; chance level: 50",
            _range(metrics["auc"], three_digits),
        ),
    ]


def other_metrics(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Name, value and interval of the metrics that have no card."""
    rows = [
        (name, three_digits(metrics.cross_fitted[key].value), _range(metrics.cross_fitted[key], three_digits))
        for key, name in ROWS
        if key not in ON_CARDS
    ]
    pooled = "F1 at one threshold for all children (optimistic: chosen on the same segments)"
    return [*rows, (pooled, three_digits(metrics.pooled_threshold.f1), "")]


def probability_bands(oof: OofTable) -> list[Bin]:
    """Fixed bands of probability, and how many of their segments are spasms."""
    return curves.reliability(oof.labels, oof.probabilities, oof.children.tolist(), np.array(curves.BANDS))


def calibration(bands: list[Bin]) -> list[list[str]]:
    """For each band: the fraction with a spasm and its interval, segments, children."""
    rows = []
    for band in bands:
        between = f"{percent(band.observed_low)} to {percent(band.observed_high)}"
        if band.children < 2:  # resampling a single child gives no interval
            between = "too few children"
        limits = f"{band.low:.1f} to {band.high:.1f}"
        rows.append([limits, percent(band.observed), between, str(band.segments), str(band.children)])
    return rows


def worth(bands: list[Bin]) -> str:
    """What one probability was worth; nothing where no segment has one like it."""
    band = next((band for band in bands if band.low <= WORTH_OF < band.high), None)
    if band is None:
        return ""
    between = f" ({percent(band.observed_low)} to {percent(band.observed_high)})" if band.children > 1 else ""
    return (
        f"Of {band.segments} segments with a probability of {band.low:.1f} to {band.high:.1f}, "
        f"{round(band.observed * band.segments)} have a spasm: {percent(band.observed)}{between}."
    )


def three_digits(value: float | None) -> str:
    """A number as text."""
    return "–" if value is None else f"{value:.3f}"


def _percent(metric: Metric) -> str:
    return "–" if metric.value is None else percent(metric.value)


def _range(metric: Metric, text: Callable[[float], str]) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f"{text(metric.low)} to {text(metric.high)}"
