"""The E-model: from delay and loss to what people would say of the call.

ITU-T G.107 with its default values, which leaves R = 93.2 - Id - Ie,eff, and with the delay impairment of Cole and Rosenbluth,
"Voice over IP Performance Monitoring" (2001), which follows G.107 closely below 400 ms.
"""

from math import exp

BEST_RATING = 93.2
"""R without any impairment (G.107, 7.7)."""

BEST_MOS = 4.5
WORST_MOS = 1.0

LOSS_ROBUSTNESS = 25.1
"""Bpl in percent: random loss that costs half of what it can. ITU-T G.113, appendix I, has no value for Opus; this is that of
G.711 with concealment, which Opus, with its own concealment and in-band FEC, is at least as good as."""

FALL_TIME = 2.0
RISE_TIME = 15.0
"""Seconds after which a `QualityScore` has gone 63 % of the way. A bad moment is heard at once; trust comes back slowly."""


def transmission_rating(delay: float, loss: float) -> float:
    """R, 0 to 93.2.

    Args:
        delay: seconds from mouth to ear.
        loss: of the packets, 0 to 1, random.
    """
    milliseconds = delay * 1000
    delay_impairment = 0.024 * milliseconds + 0.11 * max(0.0, milliseconds - 177.3)
    # G.107, 7.5, with Ie = 0 and BurstR = 1.
    percent = loss * 100
    loss_impairment = 95 * percent / (percent + LOSS_ROBUSTNESS)
    return max(0.0, BEST_RATING - delay_impairment - loss_impairment)


def mean_opinion(rating: float) -> float:
    """The mean opinion score for an R: 1 (bad) to 4.5 (G.107, annex B)."""
    if rating >= 100:
        return BEST_MOS
    # Below an R of 6.5 the polynomial dips under 1.
    return max(WORST_MOS, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)


class QualityScore:
    """A mean opinion score that goes down fast and up slowly."""

    __slots__ = ("_time", "value")

    value: float
    """1 to 4.5. The best that the E-model gives, until something else is known."""

    def __init__(self, now: float) -> None:
        self.value = mean_opinion(BEST_RATING)
        self._time = now

    def update(self, opinion: float, now: float) -> float:
        """Move towards a fresh score, as far as the time since the last one (seconds) allows. Returns the new value."""
        time_constant = FALL_TIME if opinion < self.value else RISE_TIME
        self.value += (opinion - self.value) * (1 - exp((self._time - now) / time_constant))
        self._time = now
        return self.value
