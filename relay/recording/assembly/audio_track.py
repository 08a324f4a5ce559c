"""An audio track without holes: players do not keep a gap, so every missing piece of time gets silence.

Packets are laid end to end. Where the sender's clock runs faster or slower than the relay's, a little silence is put in, or a
packet becomes a shorter one of silence: in the pauses of the sender if there are any, and before audio is 7.5 ms off.
"""

from array import array
from collections import Counter
from collections.abc import Callable
from typing import Final

from relay.recording.assembly.budget import NoteBudget
from relay.recording.payloads.audio import G711_SILENCE, OPUS_STEP, opus_samples, opus_silence

AHEAD: Final = 0.0025
"""Seconds from which on a gap of the timestamps is filled: the shortest packet of Opus."""

APART: Final = 0.0075
"""Seconds that packets without a gap between them may be away from where the clock has them."""

OVERLAP: Final = 0.060
"""Seconds behind what was laid, from which on a packet is left out: its time is taken."""

FILL_DELAY: Final = 5.0
"""Seconds after which silence is laid where nothing came: longer than any packet is waited for."""

Lay = Callable[[int, bytes, int], None]
"""Write a packet: where it begins, its bytes, how long it lasts, in samples."""


class AudioTrack:
    """Lays the packets of one track."""

    def __init__(self, codec: str, rate: int, lay: Lay, budget: NoteBudget, *, stereo: bool = False) -> None:
        """
        Args:
            rate: samples per second in which times are counted: 48,000 for Opus, else the clock rate.
            budget: of the party.
        """
        self._budget = budget
        self.unlisted = 0
        """Pieces of silence that `inserted` has not."""
        self._codec, self._rate, self._lay, self._stereo = codec, rate, lay, stereo
        self._step = OPUS_STEP if codec == "opus" else 1
        self.cursor = 0
        """Samples that are laid."""
        self.inserted = array("d")
        """Beginning and duration of each piece of silence, in seconds."""
        self.inserted_for: Counter[str] = Counter()
        """Samples of silence by reason: `lost`, `pause`, `start`, `clock`, `end`."""
        self.packets = self.overlapping = self.malformed = 0
        self.last_samples = 0
        """How long the packet lasts that came last, written or not."""

    def packet(self, time: float, payload: bytes, reason: str) -> None:
        """Lay a packet.

        Args:
            time: seconds, of the recording.
            reason: why there may be a gap before it; empty if by its timestamp there is none.
        """
        try:
            samples = self._samples(payload)
        except ValueError:
            self.malformed += 1
            self.last_samples = 0
            return
        self.last_samples = samples
        behind = time * self._rate - self.cursor
        if behind >= (AHEAD if reason else APART) * self._rate:
            self.fill(round(behind / self._step) * self._step, reason or "clock")
        elif behind < -OVERLAP * self._rate:
            self.overlapping += 1
            return
        elif behind <= -APART * self._rate:
            kept = max(0, samples - int(APART * 4 / 3 * self._rate))
            if self._codec != "opus":
                payload, samples = payload[len(payload) - len(payload) * kept // samples :], kept
                if not kept:
                    return
            else:
                self.fill(kept, "clock")
                return
        self._lay(self.cursor, payload, samples)
        self.cursor += samples
        self.packets += 1

    def fill(self, samples: int, reason: str) -> None:
        """Lay silence, rounded down to what packets of the codec can be."""
        samples -= samples % self._step
        if samples <= 0:
            return
        begin = self.cursor
        pieces = opus_silence(samples, stereo=self._stereo) if self._codec == "opus" else self._linear_silence(samples)
        for length, payload in pieces:
            self._lay(self.cursor, payload, length)
            self.cursor += length
        self.inserted_for[reason] += samples
        start, duration = begin / self._rate, samples / self._rate
        if self.inserted and abs(self.inserted[-2] + self.inserted[-1] - start) < 1e-6:
            self.inserted[-1] += duration
        elif self._budget.take("silences"):
            self.inserted.extend((start, duration))
        else:
            self.unlisted += 1

    def fill_until(self, time: float, reason: str) -> None:
        """Lay silence in pieces of 20 ms until then."""
        piece = self._rate // 50
        missing = int(time * self._rate) - self.cursor
        if missing >= piece:
            self.fill(missing - missing % piece, reason)

    def _samples(self, payload: bytes) -> int:
        if self._codec == "opus":
            return opus_samples(payload)
        if not payload or len(payload) > 8000:
            raise ValueError("a packet of audio is empty, or lasts for a second")
        return len(payload)

    def _linear_silence(self, samples: int) -> list[tuple[int, bytes]]:
        silence = G711_SILENCE.get(self._codec, b"\xff")
        piece = self._rate // 50
        pieces = [(piece, silence * piece)] * (samples // piece)
        return [*pieces, (samples % piece, silence * (samples % piece))] if samples % piece else pieces
