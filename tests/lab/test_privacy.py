"""Whatever one party writes into its descriptions, the other's Firefox contacts the relay and nothing else.

Firefox's parser of descriptions is the most lenient one: it compares names of attributes without regard to case, and takes a
space or a tab for the colon behind a name.
"""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from typing import Any, Final, Self

import aiohttp
import pytest

from relay.ids import Profile
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.kit.wait import eventually
from tests.lab.gateways import Access
from tests.lab.namespaces import Namespace
from tests.lab.network import SERVER
from tests.lab.pages import CONVERSATION, FirefoxPage
from tests.lab.shared import Lab
from tests.sdp.descriptions import VOICE_OFFER, plain

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TRAP: Final = (SERVER, 9999)
"""Where the hostile party waits for Firefox."""

_CANDIDATE: Final = f"1 1 udp 2130706431 {TRAP[0]} {TRAP[1]} typ host"

BY_THE_GRAMMAR: Final = tuple(f"a={name}:{_CANDIDATE}" for name in ("candidate", "CANDIDATE", "Candidate"))
AGAINST_IT: Final = (
    f"a=candidate {_CANDIDATE}",
    f"a= candidate:{_CANDIDATE}",
    f"a=candidate :{_CANDIDATE}",
    f"a=candidate\t{_CANDIDATE}",
)

DIRECTLY: Final = """
async (sdp) => {
  // What this browser makes of an offer that comes from no relay.
  window.direct = new RTCPeerConnection();
  await direct.setRemoteDescription({ type: "offer", sdp });
  await direct.setLocalDescription();
}
"""

REMOTE: Final = f"""
async () => {{
  // Once this browser has had an answer from the relay: what it knows of the other end.
  const connection = {RelayPage.connection};
  if (!["connected", "completed"].includes(connection?.iceConnectionState)) return null;
  const report = [...(await connection.getStats()).values()];
  const candidates = report.filter(({{ type }}) => type === "remote-candidate").map(({{ address, port }}) => [address, port]);
  return {{ candidates, sdp: connection.remoteDescription.sdp }};
}}
"""


class Hostile:
    """A party that speaks the protocol and writes what it likes into its descriptions."""

    def __init__(self, opened: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = opened

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, machine: Namespace, url: str, key: str) -> AsyncIterator[Self]:
        me = Profile.parse(key)

        def made(_: object) -> socket.socket:
            return machine.socket(socket.SOCK_STREAM)

        cookies = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(socket_factory=made), cookie_jar=cookies) as http:
            async with http.post("/api/dev/login", json=me._asdict()) as response:
                response.raise_for_status()
            async with http.ws_connect(f"/ws/{me.profile_id}/{me.profile_type}?version=2") as opened:
                yield cls(opened)

    async def say(self, kind: str, **fields: object) -> None:
        await self._socket.send_json({"type": kind, "conversation_id": CONVERSATION, **fields})

    async def hears(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these types; messages before it are dropped."""
        async with asyncio.timeout(20):
            while True:
                message: dict[str, Any] = json.loads(await self._socket.receive_str())
                if message["type"] in kinds:
                    return message


def hostile(description: str, lines: tuple[str, ...]) -> str:
    """The description with these lines in its session part and in its media section."""
    text = "".join(f"{line}\r\n" for line in lines)
    return description.replace("m=", f"{text}m=", 1) + text


def arrived(trap: socket.socket) -> list[bytes]:
    """What the trap has received since it was asked last."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(trap.recv(2048))
    return found


async def only_the_relay_is_contacted(page: FirefoxPage, trap: socket.socket) -> None:
    remote = await eventually(lambda: page.run(REMOTE), "Firefox has had an answer from the relay")
    assert TRAP[1] not in [port for _, port in remote["candidates"]]
    assert str(TRAP[1]) not in remote["sdp"]
    assert arrived(trap) == []


async def test_no_line_of_an_offer_an_answer_or_an_update_makes_firefox_contact_another_host(
    lab: Lab,
) -> None:
    victim = lab.site(Access.OPEN)
    url = f"http://{SERVER}:443"
    with contextlib.closing(lab.internet.server.socket(socket.SOCK_DGRAM, TRAP)) as trap:
        async with (
            lab.relay(),
            Hostile.at(lab.internet.server, url, STUDENT) as attacker,
            FirefoxPage.at(lab, victim, url, TUTOR) as page,
        ):
            await page.run(DIRECTLY, hostile(VOICE_OFFER, BY_THE_GRAMMAR[:1]))
            await eventually(lambda: arrived(trap), "the trap works: Firefox contacts it where no relay is between")
            await page.run("() => direct.close()")
            arrived(trap)

            callee = {"to_profile_type": "tutor", "to_profile_id": 789, "call_type": "voice"}
            for lines in (BY_THE_GRAMMAR, AGAINST_IT):
                await attacker.say("call_invitation", offer={"type": "offer", "sdp": hostile(VOICE_OFFER, lines)}, **callee)
                heard = await attacker.hears("call_state", "error")
                if heard["type"] == "call_state":
                    await page.ringing()
                    await page.accept()
                    await attacker.hears("call_answer")
                    await only_the_relay_is_contacted(page, trap)
                    await attacker.say("call_ended")
                    while (await attacker.hears("call_state"))["state"] != "ended":
                        pass
                    await page.run("""() => document.querySelector('[data-testid="close-ended"]')?.click()""")

            await page.call("voice")
            invitation = await attacker.hears("call_invitation")
            # As Firefox numbers Opus.
            [opus] = re.findall(r"a=rtpmap:(\d+) opus/48000/2", invitation["offer"]["sdp"])
            answer, offer = (plain("audio", setup=setup).replace("111", opus) for setup in ("active", "actpass"))
            for lines in (AGAINST_IT, BY_THE_GRAMMAR):
                await attacker.say("call_answer", answer={"type": "answer", "sdp": hostile(answer, lines)})
                if (await attacker.hears("call_state", "error"))["type"] == "call_state":
                    break
            await only_the_relay_is_contacted(page, trap)

            for lines in (AGAINST_IT, BY_THE_GRAMMAR):
                await attacker.say("call_update", offer={"type": "offer", "sdp": hostile(offer, lines)})
                await attacker.hears("call_update", "error")
            await only_the_relay_is_contacted(page, trap)
            await attacker.say("call_ended")
