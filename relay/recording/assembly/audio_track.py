"""An audio track without holes: players do not keep a gap, so every missing piece of time gets packets.

Packets are laid end to end. A short gap of Opus gets packets that make a player conceal it, as the receiver of the call did; all
else gets silence. Where the sender's clock runs faster or slower than the relay's, a little is put in, or a packet becomes a
shorter one: in the pauses of the sender if there are any, and before audio is 7.5 ms off.
"""

from array import array
from collections import Counter
from collections.abc import Callable
from typing import Final

from relay.recording.assembly.budget import NoteBudget
from relay.recording.payloads.audio import G711_SILENCE, OPUS_STEP, opus_concealment, opus_samples, opus_silence

AHEAD: Final = 0.0025
"""Seconds from which on a gap of the timestamps is filled: the shortest packet of Opus."""

APART: Final = 0.0075
"""Seconds that packets without a gap between them may be away from where the clock has them."""

OVERLAP: Final = 0.060
"""Seconds behind what was laid, from which on a packet is left out: its time is taken."""

FILL_DELAY: Final = 5.0
"""Seconds after which silence is laid where nothing came: longer than any packet is waited for."""

CONCEALED: Final = 0.4
"""Seconds of a gap of Opus, at most, that the player conceals: as much as between two packets of a sender with DTX (RFC 7587,
section 3.1.3). From 0.1 s on, libopus plays noise that fades by 25 dB a second: in a longer gap, silence is closer to what was
heard."""

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
        """Pieces that `inserted` has not."""
        self._codec, self._rate, self._lay, self._stereo = codec, rate, lay, stereo
        self._step = OPUS_STEP if codec == "opus" else 1
        self.cursor = 0
        """Samples that are laid."""
        self.inserted = array("d")
        """Beginning and duration of each gap that was filled, in seconds."""
        self.inserted_for: Counter[str] = Counter()
        """Samples that were filled by reason: `lost`, `pause`, `start`, `clock`, `end`."""
        self.packets = self.overlapping = self.malformed = 0
        self._before: int | None = None
        """First byte of the packet that was laid last; None: it was silence."""
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
            self._fill(round(behind / self._step) * self._step, reason or "clock", self._before)
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
                self._fill(kept, "clock", self._before)
                return
        self._lay(self.cursor, payload, samples)
        self._before = payload[0]
        self.cursor += samples
        self.packets += 1

    def fill_until(self, time: float, reason: str) -> None:
        """Lay silence in pieces of 20 ms until then."""
        piece = self._rate // 50
        missing = int(time * self._rate) - self.cursor
        if missing >= piece:
            self._fill(missing - missing % piece, reason)

    def _fill(self, samples: int, reason: str, before: int | None = None) -> None:
        """Fill a gap, rounded down to what packets of the codec can be.

        Args:
            before: first byte of the packet before, if a short gap is to be concealed.
        """
        samples -= samples % self._step
        if samples <= 0:
            return
        if self._codec != "opus":
            pieces = self._linear_silence(samples)
        elif before is not None and samples <= CONCEALED * self._rate:
            pieces = opus_concealment(samples, before)
        else:
            pieces = opus_silence(samples, stereo=self._stereo)
            self._before = None
        begin = self.cursor
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
