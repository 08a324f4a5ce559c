"""Firefox that speaks H.264 in calls.

As its users have it, Firefox downloads Cisco's OpenH264 after its first start, and encodes and decodes with that. A test that has
no internet cannot, and Debian has no package of it. So Firefox has the system's codecs here, as it has them on phones: x264 makes
the frames, and FFmpeg decodes. What is offered and answered, how frames are packed into RTP, and what follows from a request for
a key frame is Firefox's own either way. It sends packetization mode 1 only, as with all such codecs; with OpenH264 it has 0, too.
"""

import asyncio
import contextlib
import ctypes.util
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from tests.lab.firefox import FirefoxBrowser, Machine

PREFERENCES: Final[Mapping[str, bool | int]] = {
    "media.webrtc.hw.h264.enabled": True,
    # nsIGfxInfo.FEATURE_STATUS_OK: take it for there, without a graphics card.
    "gfx.blacklist.webrtc.hw.acceleration.h264": 1,
    # The codecs of the system first.
    "media.webrtc.encoder_creation_strategy": 1,
}

_AT_ONCE: Final = """
// Firefox tells libvpx that a call is live, and forgets to tell x264. So x264 looks 40 frames ahead, and Firefox, which waits for
// fewer, gives each frame up before it is there: nothing is ever sent. This stands before the function of x264 that FFmpeg calls.
#define _GNU_SOURCE
#include <dlfcn.h>

int x264_param_default_preset(void *param, const char *preset, const char *usage) {
  int (*given)(void *, const char *, const char *) = dlsym(RTLD_NEXT, "x264_param_default_preset");
  return given(param, preset, "zerolatency");
}
"""


@contextlib.asynccontextmanager
async def firefox_with_h264(machine: Machine, folder: Path) -> AsyncIterator[FirefoxBrowser]:
    """Start it on this machine, or on one of the lab; otherwise as `FirefoxBrowser.started`.

    Args:
        folder: for a library that is compiled in less than a second.
    """
    x264 = ctypes.util.find_library("x264")
    assert x264, "tests/install-peers installs FFmpeg, and x264 with it"
    library = folder / "x264_at_once.so"
    # x264 comes with it, as the next one that is asked.
    command = ("cc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-", "-Wl,--no-as-needed", f"-l:{x264}")
    await asyncio.to_thread(subprocess.run, command, input=_AT_ONCE, text=True, check=True)
    async with FirefoxBrowser.started(machine, PREFERENCES, {"LD_PRELOAD": str(library)}) as firefox:
        yield firefox
