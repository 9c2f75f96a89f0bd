"""How regularly the body moves: band powers and repetition of its speeds. Gaps are filled with the mean speed."""

import numpy as np

from spasm.data.pose import FPS
from spasm.features.body_frame import HEAD, MOVERS
from spasm.features.catalogue import LIMB_GROUPS, Columns, feature, flatten
from spasm.features.nan_math import highest, mean, quantiles, safe_divide

SERIES = {"body": "head and limbs", **LIMB_GROUPS}


def rhythm(articulated: np.ndarray, activity: np.ndarray) -> Columns:
    """From articulated speeds (N, 13, T) and activity (N, T), in bl/s."""
    parts = (articulated[:, [HEAD]], articulated[:, MOVERS[1:5]], articulated[:, MOVERS[5:]])
    series = np.stack([activity, *(mean(part, axis=1) for part in parts)], axis=1)  # (N, 4, T)
    series = series - mean(series)[..., None]
    series = np.where(np.isfinite(series), series, 0)
    yield from band_power(series)
    yield from repetition(series)
    yield from peak_counts(activity)


def _padded_length(frames: int) -> int:
    """A power of two that holds a series twice, so that its ends do not meet in a Fourier transform."""
    return 1 << (2 * frames - 1).bit_length()


# ---- band power

BANDS_HZ = ((0.3, 1), (1, 2), (2, 4), (4, 8))
LOWEST_HZ, HIGHEST_HZ = BANDS_HZ[0][0], BANDS_HZ[-1][1]
POWERS = {
    (low, high): [
        feature(
            "band power", "frequencies", f"{name}_speed_power_{low}_to_{high}_hz_share", "",
            f"fraction of the ups and downs in movement of {words} at {low} to {high} Hz "
            f"(of the power at {LOWEST_HZ} to {HIGHEST_HZ} Hz)", name,
        )
        for name, words in SERIES.items()
    ]
    for low, high in BANDS_HZ
}  # fmt: skip
MEAN_FREQUENCIES = [
    feature(
        "band power", "frequencies", f"{name}_speed_mean_frequency", "hz",
        f"mean frequency of the ups and downs in movement of {words}", name,
    )
    for name, words in SERIES.items()
]  # fmt: skip


def band_power(series: np.ndarray) -> Columns:
    """Power of the series (N, 4, T) in each band, and its mean frequency."""
    frames = series.shape[-1]
    padded = _padded_length(frames)
    # One segment at a time, so that the bytes do not depend on the block.
    spectrum = np.stack([np.abs(np.fft.rfft(one * np.hanning(frames), padded)) ** 2 for one in series])
    hertz = np.fft.rfftfreq(padded, 1 / FPS)
    inside = (hertz >= LOWEST_HZ) & (hertz < HIGHEST_HZ)
    total = spectrum[..., inside].sum(axis=-1)
    for (low, high), specs in POWERS.items():
        fraction = safe_divide(spectrum[..., (hertz >= low) & (hertz < high)].sum(axis=-1), total)
        yield from zip(specs, fraction.T, strict=True)
    centre = safe_divide((spectrum[..., inside] * hertz[inside]).sum(axis=-1), total)
    yield from zip(MEAN_FREQUENCIES, centre.T, strict=True)


# ---- repetition

REPETITIONS = [  # height and position of the autocorrelation's peak
    (
        feature("repetition", "repetition", f"{name}_speed_autocorrelation_peak", "",
                f"how alike the movement of {words} repeats itself (highest autocorrelation)", name),
        feature("repetition", "repetition", f"{name}_speed_period", "s",
                f"time after which the movement of {words} repeats itself", name),
    )
    for name, words in SERIES.items()
]  # fmt: skip


def repetition(series: np.ndarray) -> Columns:
    """Highest autocorrelation of the series (N, 4, T), and its lag."""
    frames = series.shape[-1]
    padded = _padded_length(frames)
    shifted = np.stack([np.fft.irfft(np.abs(np.fft.rfft(one, padded)) ** 2)[:, :frames] for one in series])
    correlation = safe_divide(shifted, shifted[..., :1]) * (frames / np.arange(frames, 0, -1))
    first, last = round(0.25 * FPS), max(round(0.25 * FPS) + 3, min(round(2.5 * FPS), frames * 2 // 3))
    correlation = correlation[..., first:last]  # (N, 4, L)
    inner = correlation[..., 1:-1]
    peaks = np.where((inner > correlation[..., :-2]) & (inner >= correlation[..., 2:]), inner, 0)
    best = np.where(np.isfinite(correlation[..., 0]), highest(peaks), np.nan)
    earliest = (peaks >= 0.85 * best[..., None]).argmax(axis=-1)  # the first high peak, not a multiple of the period
    period_s = np.where(best > 0.1, (earliest + first + 1) / FPS, np.nan)
    for i, (peak, period) in enumerate(REPETITIONS):
        yield peak, best[:, i]
        yield period, period_s[:, i]


PEAK_COUNTS = {
    percent: feature(
        "repetition", "repetition", f"peaks_above_{percent}pct_of_highest", "per_s",
        f"peaks of movement above {percent} % of the way from its median to its highest",
    )
    for percent in (30, 60)
}  # fmt: skip


def peak_counts(activity: np.ndarray) -> Columns:
    """Peaks of the activity (N, T), per second of its known frames."""
    frames = activity.shape[-1]
    typical, top = quantiles(activity, 0.5, 1)
    padded = np.pad(np.where(np.isfinite(activity), activity, 0), ((0, 0), (4, 4)))
    crest = np.max([padded[:, i : i + frames] for i in range(9)], axis=0)  # within 0.13 s to each side
    observed_s = np.isfinite(activity).sum(axis=-1) / np.float32(FPS)
    for percent, spec in PEAK_COUNTS.items():
        level = typical + percent / 100 * np.maximum(top - typical, 0.05)
        count = ((activity == crest) & (activity > level[:, None])).sum(axis=-1)
        yield spec, safe_divide(count, observed_s, 0.5)


SPECS = flatten(POWERS, MEAN_FREQUENCIES, REPETITIONS, PEAK_COUNTS)
