"""Where the sound of a recording is in its reference, window by window, and how well speech is understood."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from relay.recording.verify.audio import RATE
from relay.recording.verify.figures import Sample

WINDOW = 10.0
"""Seconds of sound that are looked for at a time."""
STEP = 5.0
SEARCHED = 2.0
"""Seconds to both sides of where a window is expected."""
FOUND = 0.5
"""Normalised correlation of a window that is in the reference."""
_QUIET = 33.0
"""RMS of 16-bit samples, -60 dBFS: a window below has nothing to be looked for by."""
_CHUNK = 60 * RATE
"""Samples of the reference that are searched at a time when nothing is known."""
SHORTEST_SPEECH = 3.0
MOST_SPEECH_WINDOWS = 30
MOST_SEARCHES = 20
"""Windows that are looked for in all of the reference, where they are not where they are expected."""
_FRAME = 400
"""Samples, 25 ms."""
_ACTIVE = 0.03
"""Share of the loudest frame's amplitude, about -30 dB."""
_SPREAD = 0.04
"""Share of the spectrum that 90 % of the energy takes: tones take 1 %, speech 5 to 30."""

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AlignedWindow:
    time: float
    """Of the window's beginning, in the recording."""
    source: float
    """Of the same sound in the reference."""
    correlation: float
    shown: Floats
    known: Floats

    @property
    def found(self) -> bool:
        return self.correlation >= FOUND


def align(
    samples: Samples, start: float, reference: Samples, expected: Callable[[float], float | None], begin: float
) -> list[AlignedWindow]:
    """Look for each window of a recording in the reference, which may be played again and again.

    Args:
        samples: 16 kHz.
        start: time of the first sample.
        reference: samples at 16 kHz.
        expected: time in the reference for a time of the recording, if the video says it.
        begin: time of the reference's first sample.
    """
    length = min(int(WINDOW * RATE), len(samples), len(reference))
    if length < RATE // 2:
        return []
    found: list[AlignedWindow] = []
    last: float | None = None
    searches = MOST_SEARCHES
    for at in range(0, len(samples) - length + 1, int(STEP * RATE)):
        window = samples[at : at + length].astype(np.float32)
        if float(np.sqrt(np.mean(window**2))) < _QUIET:
            continue
        time = start + at / RATE
        seen = expected(time + length / RATE / 2)
        if seen is None and last is None and not searches:
            break  # none of them is in it
        searches -= seen is None and last is None
        guess = seen - length / RATE / 2 if seen is not None else time - last if last is not None else None
        place, correlation = _search(window, reference, None if guess is None else guess - begin)
        if correlation < FOUND and guess is not None and searches:
            searches -= 1
            place, correlation = _search(window, reference, None)
        known = np.take(reference, np.arange(round(place * RATE), round(place * RATE) + length), mode="wrap")
        one = AlignedWindow(time, begin + place % (len(reference) / RATE), correlation, window, known.astype(np.float32))
        found.append(one)
        if one.found:
            last = time - one.source
    return found


def _search(window: Floats, reference: Samples, guess: float | None) -> tuple[float, float]:
    """Where a window fits best: seconds from the reference's beginning, and the correlation."""
    if guess is None:
        spans = [(begin, min(_CHUNK, len(reference)) + len(window)) for begin in range(0, len(reference), _CHUNK)]
    else:
        spans = [(round((guess - SEARCHED) * RATE), round(2 * SEARCHED * RATE) + len(window))]
    best = (0.0, 0.0)
    for begin, count in spans:
        part = np.take(reference, np.arange(begin, begin + count), mode="wrap").astype(np.float32)
        at, correlation = _correlate(window, part)
        if correlation > best[1]:
            best = ((begin + at) / RATE, correlation)
    return best


def _correlate(window: Floats, part: Floats) -> tuple[int, float]:
    size = 1 << (len(part) + len(window) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(window, size)), size)[: len(part) - len(window) + 1]
    sums = np.concatenate([[0.0], np.cumsum(part.astype(np.float64) ** 2)])
    energies = sums[len(window) :] - sums[: len(part) - len(window) + 1]
    whole = float((window.astype(np.float64) ** 2).sum())
    # Where the reference is quieter than -60 dBFS, any noise would correlate.
    scores = product / np.sqrt(np.maximum(energies, _QUIET**2 * len(window) / 10) * whole)
    at = int(scores.argmax())
    return at, float(scores[at])


def lags(windows: list[AlignedWindow], length: float) -> list[Sample]:
    """Middle of each window that was found, and its lag, without the jumps of a reference that begins again.

    Args:
        length: seconds of the reference.
    """
    samples: list[Sample] = []
    for one in windows:
        if not one.found:
            continue
        lag = one.time - one.source
        if samples:
            lag -= round((lag - samples[-1][1]) / length) * length
        samples.append((one.time + len(one.shown) / RATE / 2, lag))
    return samples


def is_speech(samples: Floats) -> bool:
    """Whether there are at least 3 s of speech: sound whose energy is spread over the spectrum."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt((frames.astype(np.float64) ** 2).mean(axis=1))
    active = frames[levels > max(_QUIET, levels.max(initial=0.0) * _ACTIVE)]
    if len(active) * _FRAME / RATE < SHORTEST_SPEECH:
        return False
    spectra = np.sort(np.abs(np.fft.rfft(active * np.hanning(_FRAME), axis=1)) ** 2, axis=1)[:, ::-1]
    shares = np.cumsum(spectra, axis=1) / spectra.sum(axis=1, keepdims=True)
    spread = (shares < 0.9).sum(axis=1) / spectra.shape[1]
    return float(np.median(spread)) > _SPREAD


def intelligibility(windows: list[AlignedWindow]) -> tuple[float | None, float | None]:
    """STOI (0 to 1) and wide-band PESQ (MOS-LQO) of the windows with speech: the medians. None where there is no speech, and PESQ
    also where its package is not installed."""
    spoken = [one for one in windows if one.found and is_speech(one.known)]
    chosen = spoken[:: max(1, len(spoken) // MOST_SPEECH_WINDOWS)][:MOST_SPEECH_WINDOWS]
    stois = [value for one in chosen if (value := _stoi(one)) is not None]
    pesqs = [value for one in chosen if (value := _pesq(one)) is not None]
    return (float(np.median(stois)) if stois else None, float(np.median(pesqs)) if pesqs else None)


def _stoi(window: AlignedWindow) -> float | None:
    from pystoi import stoi  # noqa: PLC0415 - takes a second to load, and most recordings have no reference

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return float(stoi(window.known, window.shown, RATE))
        except RuntimeWarning:  # too few frames with speech
            return None


def _pesq(window: AlignedWindow) -> float | None:
    if find_spec("pesq") is None:
        return None
    from pesq import PesqError, pesq  # noqa: PLC0415 - optional: there is no wheel of it

    try:
        return float(pesq(RATE, window.known.astype(np.int16), window.shown.astype(np.int16), "wb"))
    except PesqError:  # no utterance found
        return None
