"""The example of docs/protocol.md, as two strangers' clients run it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from relay.ids import Profile
from tests.browser.pages import STUDENT, TUTOR
from tests.kit.browsers import BrowserPage
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EXAMPLE = Path(__file__).parents[2] / "docs" / "negotiation_example.js"

CLIENT = """
async ({ address, other }) => {
  const { connection, send } = (window.party = {
    connection: new RTCPeerConnection(),
    received: [],
    send: (message) => socket.send(JSON.stringify({ conversation_id: 123, ...message })),
    resume: () => {},
    pause: () => (line = line.then(() => new Promise((resolve) => (party.resume = resolve)))),
    call: async () => {
      connection.addTransceiver("audio");
      await connection.setLocalDescription();
      send({ type: "call_invitation", call_type: "voice", ...other, offer: connection.localDescription });
    },
  });
  let line = Promise.resolve();
  const changes = (party.changes = negotiation(connection, send));
  const take = async (message) => {
    if (message.type === "call_invitation") {
      await connection.setRemoteDescription(message.offer);
      await connection.setLocalDescription();
      send({ type: "call_answer", answer: connection.localDescription });
    } else if (message.type === "call_answer") {
      await connection.setRemoteDescription(message.answer);
    } else if (["call_update", "error"].includes(message.type)) {
      await changes.receive(message);
    }
  };
  const socket = new WebSocket(address);
  socket.onmessage = ({ data }) => {
    party.received.push(JSON.parse(data));
    line = line.then(() => take(JSON.parse(data)));
  };
  await new Promise((resolve) => (socket.onopen = resolve));
}
"""

KINDS = """
() => ["localDescription", "remoteDescription"].map((one) => party.connection[one].sdp.match(/^m=\\w+/gm).join(" "))
"""


@pytest_asyncio.fixture(loop_scope="session")
async def parties(browser: Browser, relay: RunningRelay) -> AsyncIterator[tuple[Page, Page]]:
    """The student's and the tutor's page, in a call."""
    source = EXAMPLE.read_text().replace("export const negotiation =", "window.negotiation =")
    async with BrowserPage.opened(browser) as caller, BrowserPage.opened(browser) as callee:
        for page, key, other in ((caller.page, STUDENT, TUTOR), (callee.page, TUTOR, STUDENT)):
            me, they = Profile.parse(key), Profile.parse(other)
            login = await page.request.post(f"{relay.url}/api/dev/login", data=dict(me._asdict()))
            token = (await login.json())["token"]
            await page.goto(f"{relay.url}/healthz")
            await page.evaluate(f"() => {{ {source} }}")
            address = f"{relay.websocket_url}/ws/{me.profile_id}/{me.profile_type}?version=2&token={token}"
            to = {"to_profile_id": they.profile_id, "to_profile_type": they.profile_type}
            await page.evaluate(CLIENT, {"address": address, "other": to})
        await caller.page.evaluate("party.call()")
        for page in (caller.page, callee.page):
            await page.wait_for_function("() => party.connection.connectionState === 'connected'")
            await page.evaluate("() => { party.connection.onnegotiationneeded = party.changes.offer; }")
        yield caller.page, callee.page
        for one in (caller, callee):
            one.forgive("favicon.ico")


has_offer = "() => party.received.some(({ type, offer }) => type === 'call_update' && offer)"


async def both_agree_on(kinds: str, *pages: Page) -> None:
    for page in pages:
        await page.wait_for_function(
            f"(kinds) => party.connection.signalingState === 'stable' && ({KINDS})().every((one) => one === kinds)", arg=kinds
        )


async def test_two_clients_that_offer_at_the_same_moment_both_complete_their_change(parties: tuple[Page, Page]) -> None:
    first, second = parties
    await second.evaluate("() => void party.pause()")
    await first.evaluate("() => { party.connection.addTransceiver('video'); }")
    await second.wait_for_function(has_offer)
    # It has not read the other's offer when it makes its own.
    await second.evaluate("() => { party.connection.addTransceiver('audio'); }")
    await second.wait_for_function("() => party.connection.signalingState === 'have-local-offer'")
    await second.evaluate("() => party.resume()")
    await both_agree_on("m=audio m=video m=audio", first, second)
    for page in parties:
        assert await page.evaluate("party.received.filter(({ type }) => type === 'error')") == []


async def test_a_client_whose_offer_is_rejected_keeps_the_previous_description(parties: tuple[Page, Page]) -> None:
    first, second = parties
    await second.evaluate("() => { party.changes.receive = async () => party.send({ type: 'call_update', rejected: true }); }")
    await first.evaluate("() => { party.connection.onnegotiationneeded = null; party.connection.addTransceiver('video'); }")
    await first.evaluate("party.changes.offer()")
    await both_agree_on("m=audio", first, second)
