"""Files that two pages send each other, without calls: two exchanges, and a wire between them."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


PAIR = """
async () => {
  const { FileExchange, MOST_BYTES, MOST_OPEN } = await import("/client/files/exchange.js");
  const { partFrame } = await import("/client/files/wire.js");
  // Two pages with a wire between them. Messages arrive in order, some time later.
  const now = () => 1_000;
  const [alice, bob] = [new FileExchange({ now }), new FileExchange({ now })];
  const said = [];
  let broken = false;
  const wire = (name, to) => ({
    send: (data) => {
      if (typeof data === "string") said.push(`${name}: ${JSON.parse(data).type}`);
      const copy = typeof data === "string" ? data : data.slice().buffer;
      setTimeout(() => broken || to.receive(copy));
    },
    buffered: () => 0,
  });
  const connect = () => {
    alice.opened(wire("alice", bob));
    bob.opened(wire("bob", alice));
  };
  const until = async (what) => {
    for (let tries = 0; !what(); tries++) {
      if (tries > 2_000) throw new Error(`never: ${what}; ${JSON.stringify([alice.entries, bob.entries, said])}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const bytes = (size) => {
    const all = new Uint8Array(size);
    for (let at = 0; at < Math.min(size, 1_000_000); at += 65_536) crypto.getRandomValues(all.subarray(at, at + 65_536));
    return all;
  };
  const file = (size, name = "notes.pdf") => new File([bytes(size)], name);
  const states = (exchange) => exchange.entries.map(({ state, problem }) => (problem ? `${state}: ${problem}` : state));
  const breakWire = () => { broken = true; };
  return (async () => { SCRIPT })();
}
"""


async def played(bare_page: Page, script: str) -> Any:
    """What a script of two pages, `alice` and `bob`, returns."""
    return await bare_page.evaluate(PAIR.replace("SCRIPT", script))


async def test_a_file_arrives_unchanged_after_the_receiver_was_asked(bare_page: Page) -> None:
    outcome = await played(
        bare_page,
        """
        const sent = file(300_000, "../Übung.pdf");
        alice.offer(sent);
        connect();
        await until(() => bob.entries.length);
        const asked = { ...bob.entries[0], unread: bob.unread };
        await new Promise((resolve) => setTimeout(resolve, 20));
        const before = [alice.entries[0].done, bob.entries[0].done];
        bob.accept(bob.entries[0].key);
        await until(() => alice.entries[0].state === "done");
        const blob = bob.entries[0].blob;
        const same = (await blob.arrayBuffer()).byteLength === 300_000
          && new Uint8Array(await blob.arrayBuffer()).join() === new Uint8Array(await sent.arrayBuffer()).join();
        const seen = [asked.state, asked.name, asked.size, asked.unread];
        return { asked: seen, before, same, type: blob.type, states: states(bob), said };
        """,
    )
    assert outcome["asked"] == ["asking", "Übung.pdf", 300_000, 1]
    assert outcome["before"] == [0, 0], "not a byte before the receiver has agreed"
    assert outcome["same"] and outcome["states"] == ["done"]
    assert outcome["type"] == "application/octet-stream"
    assert [one for one in outcome["said"] if "hello" not in one] == [
        "alice: offer",
        "bob: accept",
        "alice: end",
        "bob: received",
    ]


async def test_an_empty_file_and_several_at_once_arrive(bare_page: Page) -> None:
    outcome = await played(
        bare_page,
        """
        connect();
        for (const size of [0, 1, 32 * 1024, 32 * 1024 + 1]) alice.offer(file(size));
        bob.offer(file(5_000));
        await until(() => bob.entries.length === 5 && alice.entries.length === 5);
        for (const one of [alice, bob]) one.entries.filter(({ own }) => !own).forEach(({ key }) => one.accept(key));
        await until(() => states(alice).concat(states(bob)).every((state) => state === "done"));
        return bob.entries.filter(({ own }) => !own).map(({ blob }) => blob.size);
        """,
    )
    assert outcome == [0, 1, 32 * 1024, 32 * 1024 + 1]


async def test_either_side_may_decline_or_cancel(bare_page: Page) -> None:
    outcome = await played(
        bare_page,
        """
        connect();
        for (let count = 0; count < 4; count++) alice.offer(file(50_000_000));
        await until(() => bob.entries.length === 4);
        const [declined, stopped, cancelled, withdrawn] = bob.entries.map(({ key }) => key);
        bob.decline(declined);
        alice.cancel(alice.entries[3].key);
        bob.accept(stopped);
        bob.accept(cancelled);
        await until(() => bob.entries[1].done && bob.entries[2].done);
        bob.cancel(stopped);
        alice.cancel(alice.entries[2].key);
        const open = (one) => states(one).some((state) => ["asking", "moving"].includes(state));
        await until(() => !open(alice) && !open(bob));
        return [states(alice), states(bob)];
        """,
    )
    assert outcome == [["declined", "cancelled", "cancelled", "cancelled"]] * 2


async def test_a_hostile_sender_gets_nothing_into_the_page(bare_page: Page) -> None:
    outcome = await played(
        bare_page,
        """
        connect();
        const hostile = (message) => bob.receive(typeof message === "string" ? message : JSON.stringify(message));
        for (const text of ["", "{", "null", "[]", "7", '{"type":"offer"}', '{"type":"__proto__"}',
          '{"type":"constructor","id":1}',
          { type: "offer", id: -1, name: "x", size: 1 }, { type: "offer", id: 1, name: {}, size: 1 },
          { type: "offer", id: 1, name: "x", size: 1e300 }, { type: "offer", id: 1.5, name: "x", size: 1 },
          { type: "offer", id: 1, name: "n".repeat(5_000), size: 1 }, { type: "accept", id: 99 },
          { type: "end", id: 7, sha256: "0".repeat(64) }, { type: "received", id: 7, ok: true }]) hostile(text);
        for (const frame of [new ArrayBuffer(0), new ArrayBuffer(3), partFrame(5, bytes(10).buffer).buffer]) bob.receive(frame);
        const nothing = bob.entries.length;
        // Too large; more bytes than announced; fewer; other bytes; parts that were never asked for.
        hostile({ type: "offer", id: 10, name: "huge.iso", size: MOST_BYTES + 1 });
        hostile({ type: "offer", id: 11, name: "more", size: 10 });
        hostile({ type: "offer", id: 12, name: "fewer", size: 10 });
        hostile({ type: "offer", id: 13, name: "other", size: 10 });
        hostile({ type: "offer", id: 14, name: "unasked", size: 10 });
        for (const entry of bob.entries.slice(1, 4)) bob.accept(entry.key);
        for (const [id, size] of [[11, 11], [12, 9], [13, 10], [14, 10]]) bob.receive(partFrame(id, bytes(size).buffer).buffer);
        for (const id of [12, 13]) hostile({ type: "end", id, sha256: "0".repeat(64) });
        await until(() => states(bob).filter((state) => state.startsWith("failed")).length === 4);
        const after = [states(bob), bob.entries[4].done, bob.entries.filter(({ blob }) => blob).length];
        // A thousand questions at once.
        for (let id = 100; id < 1_100; id++) hostile({ type: "offer", id, name: "spam", size: 1 });
        const open = bob.entries.filter(({ state }) => state === "asking").length;
        return { nothing, after, open, MOST_OPEN, shown: bob.entries.length };
        """,
    )
    assert outcome["nothing"] == 0
    states, unasked, blobs = outcome["after"]
    assert states == ["failed: too_large", "failed: damaged", "failed: damaged", "failed: damaged", "asking"]
    assert (unasked, blobs) == (0, 0)
    assert outcome["open"] == outcome["MOST_OPEN"]
    assert outcome["shown"] < 20


async def test_files_that_are_on_their_way_fail_when_the_other_page_is_another_one(bare_page: Page) -> None:
    outcome = await played(
        bare_page,
        """
        connect();
        alice.offer(file(50_000_000));
        await until(() => bob.entries.length);
        bob.accept(bob.entries[0].key);
        await until(() => alice.entries[0].done);
        // Bob's page is loaded anew: the channel of Alice's stays open.
        const again = new FileExchange({ now: () => 1_000 });
        breakWire();
        const received = (data) => again.receive(typeof data === "string" ? data : data.slice().buffer);
        alice.opened({ send: (data) => setTimeout(() => received(data)), buffered: () => 0 });
        again.opened({ send: (data) => setTimeout(() => alice.receive(data)), buffered: () => 0 });
        await until(() => alice.isReady && again.isReady);
        alice.offer(file(100));
        await until(() => again.entries.length);
        again.accept(again.entries[0].key);
        await until(() => states(alice).includes("done"));
        bob.closed();
        return [states(alice), states(bob), states(again)];
        """,
    )
    assert outcome == [["failed: interrupted", "done"], ["failed: interrupted"], ["done"]]


async def test_a_page_that_sends_too_much_is_told_so_before_a_byte_is_read(bare_page: Page) -> None:
    outcome = await played(
        bare_page,
        """
        connect();
        await until(() => alice.isReady);
        const large = { name: "film.mkv", size: MOST_BYTES + 1, slice() { throw new Error("read"); } };
        alice.offer(large);
        for (let count = 0; count <= MOST_OPEN; count++) alice.offer(file(10));
        const gone = { name: "gone.txt", size: 10, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("deleted")) }) };
        await until(() => bob.entries.length === MOST_OPEN);
        alice.cancel(alice.entries[1].key);
        alice.offer(gone);
        await until(() => bob.entries.some(({ name }) => name === "gone.txt"));
        bob.accept(bob.entries.find(({ name }) => name === "gone.txt").key);
        await until(() => states(bob).filter((state) => state === "cancelled").length === 2);
        return states(alice);
        """,
    )
    assert outcome == ["failed: too_large", "cancelled", *["asking"] * 4, "failed: too_many", "failed: unreadable"]
