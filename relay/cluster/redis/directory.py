"""The claims and the devices of this node, in its memory and in Redis; and those of others, in Redis only."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.keys import ForeignValue, RedisKeys, claim_of, claim_text, device_of, pack, ref_text
from relay.cluster.redis.scripts import CLAIM, DEVICES, DISMISS, ENLIST, HELD, KEEP, READ, RELEASE, TAKE
from relay.cluster.redis.timing import ANNOUNCED, KEPT_SECONDS, SETTLING, ClusterTiming
from relay.cluster.redis.writer import Order, Settling, Writer
from relay.cluster.values import Claim, Claimed, DeviceCard, NodeRef
from relay.errors import Unavailable
from relay.ids import Profile

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Owned:
    claim: Claim
    sheet: bytes = b""


class ClusterDirectory:
    """What is where in the cluster. All that this node has written it also remembers, as Redis may come back without it."""

    def __init__(self, writer: Writer, keys: RedisKeys, me: NodeRef, figures: ClusterFigures, timing: ClusterTiming) -> None:
        self._writer = writer
        self._keys = keys
        self._me = me
        self._figures = figures
        self._timing = timing
        self._settle = round(timing.settle * 1000)
        self._owned: dict[str, _Owned] = {}
        self._devices: dict[str, tuple[DeviceCard, bytes]] = {}

    @property
    def calls(self) -> int:
        """That this node owns."""
        return len(self._owned)

    @property
    def devices(self) -> int:
        """That this node is the home of."""
        return len(self._devices)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def claim(self, call_id: str, profiles: tuple[Profile, Profile], sheet: bytes) -> Claimed:
        """As `relay.cluster.api.Cluster` says."""
        mine = Claim(call_id, self._me, profiles)
        value, *devices = await self._settled(_Owned(mine, sheet))
        standing = claim_of(value)
        if standing == mine:
            self._owned[call_id] = _Owned(mine, sheet)
            self._figures.counters["claims"] += 1
        else:
            self._figures.counters["claims_refused"] += 1
        try:
            return Claimed(standing, tuple(card for found in devices for card in self._cards(found)))
        except Unavailable:  # those of this node ring
            return Claimed(standing)

    async def _settled(self, wanted: _Owned) -> list[Any]:
        """What becomes of a claim; while the nodes settle, it waits: people have called, and it does not take long."""
        waited = 0.0
        while True:
            order = self._claiming(wanted, self._settle, devices=True)
            order.undo = self._releasing(wanted.claim)
            try:
                found: list[Any] = await self._ask(order)
                return found
            except Settling:
                if waited > self._timing.settle:
                    raise
                waited += SETTLING
                await asyncio.sleep(SETTLING)

    def release(self, claim: Claim) -> None:
        self._owned.pop(claim.call_id, None)
        self._writer.put(self._releasing(claim))

    async def call_of(self, profile: Profile, *, orphan: bool = False) -> Claim | None:
        """The claim on a profile, if its owner lives; or, if it is to be an orphan, if its owner does not."""
        keys = [self._keys.opened, self._keys.busy(profile)]
        found = await self._ask(Order(HELD, keys, [self._keys.node_prefix, self._settle]))
        if not found:
            return None
        value, lives, settled = found
        # While nodes write anew what they had, a node that is not back yet is not lost.
        return claim_of(value) if lives != orphan and (settled or not orphan) else None

    async def take_over(self, standing: Claim, *, given: bool) -> Claim | None:
        mine = Claim(standing.call_id, self._me, standing.profiles)
        order = self._taking(standing, mine, force=given)
        order.undo = self._taking(mine, standing, force=True)
        if not await self._ask(order):
            return None
        self._owned[mine.call_id] = _Owned(mine)
        return mine

    def keep(self, call_id: str, sheet: bytes) -> None:
        owned = self._owned.get(call_id)
        if owned is not None:
            owned.sheet = sheet
            self._writer.put(self._keeping(owned))

    async def sheet_of(self, call_id: str) -> bytes | None:
        found = await self._ask(Order(READ, [self._keys.sheet(call_id)], []))
        return None if found is None else bytes(found)

    # -- devices ------------------------------------------------------------------------------------------------------

    async def enlist(self, device: DeviceCard, resume_digest: bytes) -> Claim | None:
        # Remembered first: if Redis is away, the device is written as soon as it is back.
        self._devices[device.device_id] = device, resume_digest
        order = self._enlisting(device, resume_digest)
        order.persistent = True
        found = await self._ask(order)
        return claim_of(found) if found else None

    def dismiss(self, device: DeviceCard, resume_digest: bytes) -> None:
        if device.home == self._me:
            self._devices.pop(device.device_id, None)
        keys = [self._keys.devices(device.profile), *([self._keys.token(resume_digest)] if resume_digest else [])]
        self._writer.put(Order(DISMISS, keys, [device.device_id, ref_text(device.home)]))

    async def devices_of(self, profile: Profile) -> Sequence[DeviceCard]:
        """Those of other nodes."""
        order = Order(DEVICES, [self._keys.devices(profile)], [self._keys.node_prefix, ref_text(self._me)])
        return self._cards(await self._ask(order))

    def _cards(self, found: Sequence[bytes]) -> Sequence[DeviceCard]:
        """The devices that a script has found, in the order in which they came.

        Raises:
            Unavailable: one of them is none.
        """
        ordered: list[tuple[int, DeviceCard]] = []
        for value in found:
            try:
                _, order, packed = value.split(b"\n", 2)
                ordered.append((int(order), device_of(packed)))
            except ValueError:
                raise self._foreign(ForeignValue(f"{value[:40]!r} is no device")) from None
            except ForeignValue as error:
                raise self._foreign(error) from None
        return [device for _, device in sorted(ordered, key=lambda one: one[0])]

    async def whose(self, resume_digest: bytes) -> DeviceCard | None:
        found = await self._ask(Order(READ, [self._keys.token(resume_digest)], []))
        if not found:
            return None
        try:
            return device_of(bytes(found).partition(b"\n")[2])
        except ForeignValue as error:
            raise self._foreign(error) from None

    # -- anew ---------------------------------------------------------------------------------------------------------

    async def announce(self) -> None:
        """Write anew all that Redis is to have of this node.

        A claim that another node has by now stays that node's: the rows of the database say whose call it is.
        """
        devices, owned = iter([*self._devices]), iter([*self._owned])
        while some := [*islice(devices, ANNOUNCED)]:
            await self._repeat([self._enlisting(*self._devices[one]) for one in some if one in self._devices])
        while calls := [*islice(owned, ANNOUNCED)]:
            present = [self._owned[one] for one in calls if one in self._owned]
            standing = await self._repeat([self._claiming(one, 0) for one in present])
            for one, value in zip(present, standing, strict=True):
                if value != [claim_text(one.claim)]:
                    self._figures.counters["claims_refused"] += 1
                    logger.warning("call %s of this node is in conflict with one of another node", one.claim.call_id)

    async def _repeat(self, orders: Sequence[Order]) -> Sequence[Any]:
        """Run them, again and again until Redis has; their results, None for one that it refuses."""
        for order in orders:
            order.persistent = True
        answers = [self._writer.begin(order) for order in orders]
        return [None if isinstance(one, Exception) else one for one in await asyncio.gather(*answers, return_exceptions=True)]

    # -- orders -------------------------------------------------------------------------------------------------------

    async def _ask(self, order: Order) -> Any:
        try:
            return await self._writer.run(order, self._timing.deadline)
        except ForeignValue as error:
            raise self._foreign(error) from None

    def _foreign(self, error: ForeignValue) -> Unavailable:
        self._figures.counters["foreign_keys"] += 1
        logger.error("a key in Redis is not the relay's: %s. Does another program use it?", error)
        return Unavailable("a key in Redis is not the relay's")

    def _busy(self, claim: Claim) -> Iterator[str]:
        # In one order, whichever node claims: a call of a profile with itself does not exist.
        yield from map(self._keys.busy, claim.profiles)

    def _claiming(self, wanted: _Owned, settle: int, *, devices: bool = False) -> Order:
        claim = wanted.claim
        keys = [self._keys.opened, self._keys.sheet(claim.call_id), *self._busy(claim)]
        keys += map(self._keys.devices, claim.profiles) if devices else ()
        return Order(CLAIM, keys, [self._keys.node_prefix, claim_text(claim), settle, KEPT_SECONDS, wanted.sheet])

    def _releasing(self, claim: Claim) -> Order:
        return Order(RELEASE, [self._keys.sheet(claim.call_id), *self._busy(claim)], [claim_text(claim)])

    def _taking(self, standing: Claim, wanted: Claim, *, force: bool) -> Order:
        keys = [self._keys.opened, *self._busy(standing)]
        claims = [claim_text(standing), claim_text(wanted)]
        return Order(TAKE, keys, [self._keys.node_prefix, *claims, self._settle, KEPT_SECONDS, int(force)])

    def _keeping(self, owned: _Owned) -> Order:
        keys = [self._keys.busy(owned.claim.profiles[0]), self._keys.sheet(owned.claim.call_id)]
        return Order(KEEP, keys, [claim_text(owned.claim), owned.sheet, KEPT_SECONDS])

    def _enlisting(self, device: DeviceCard, resume_digest: bytes) -> Order:
        keys = [self._keys.devices(device.profile), self._keys.busy(device.profile)]
        keys += [self._keys.token(resume_digest)] if resume_digest else []
        what = [device.device_id, ref_text(device.home), pack(device), device.replaces or "", KEPT_SECONDS]
        return Order(ENLIST, keys, [self._keys.node_prefix, *what])
