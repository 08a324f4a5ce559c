"""Measures that not every installation can take."""

from importlib.util import find_spec

from relay.recording.verify.likeness import has_xpsnr
from relay.recording.verify.vmaf import find_program

NAMES = {"pesq": "PESQ", "xpsnr": "XPSNR", "vmaf": "VMAF"}


def unavailable() -> dict[str, str]:
    """The measures beside a reference that cannot be taken here, and why."""
    missing = {}
    if find_spec("pesq") is None:
        missing["pesq"] = "the package pesq is not installed (pip install 'call-relay[pesq]', which needs a C compiler)"
    if not has_xpsnr():
        missing["xpsnr"] = "PyAV's FFmpeg has no filter xpsnr"
    if find_program() is None:
        missing["vmaf"] = "there is no ffmpeg on PATH that lists the filter libvmaf"
    return missing


def sentences(missing: dict[str, str]) -> list[str]:
    return [f"{NAMES[name]} is not available: {why}." for name, why in missing.items()]
