"""Settings of the rules that turn probability over time into events."""

from typing import Annotated

from spasm.config.fields import Probability, SettingsError, settings, within


@settings
class Hysteresis:
    """An event begins at one probability and ends at another."""

    event_on: Probability = 0.95
    """Probability at which an event begins."""
    event_off: Probability = 0.25
    """Probability below which an event ends."""

    def __post_init__(self) -> None:
        if self.event_off > self.event_on:
            raise SettingsError(
                f"--event-off {self.event_off} is above --event-on; the nearest valid value is {self.event_on}"
            )


@settings
class Accumulation:
    """An alarm is given when summed probabilities of windows reach a threshold, after VSViG."""

    sum_windows: Annotated[int, within(1, 10_000)] = 1
    """Windows whose probabilities are summed."""
    sum_threshold: Annotated[float, within(0, 10_000)] = 0.98
    """Sum at which the alarm is given."""
    sum_floor: Probability = 0.0
    """Probabilities below this count as 0."""
    refractory_s: Annotated[float, within(0, 86_400)] = 5.0
    """Seconds after an alarm without another one; with less than a window's length one spasm can give two."""
