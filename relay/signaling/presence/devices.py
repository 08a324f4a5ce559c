"""Who is connected right now: profile → its devices. A device may lose its connection and come back on another one.

Also devices of other nodes are here, as long as their profile is in a call that this node owns.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final

from relay.cluster.messages import Resumed
from relay.cluster.values import DeviceCard, NodeRef
from relay.ids import Profile
from relay.signaling.ports import Connection
from relay.signaling.presence.device import Device, Post, RemoteHome

RESUMED_ELSEWHERE: Final = 4409
"""Close code for a connection whose device has come back on another one."""

ANEW: Final = "messages between servers were lost; come back"
"""Why a connection is closed whose device must begin as another one."""

OPTIONAL_TYPES: Final = frozenset({"call_elsewhere", "call_rejoin_request"})
"""What only those clients get that ask for it when they connect: of the others, no device learns of a call that it is not in."""


class Devices:
    """The devices of every profile, in the order in which they came.

    Args:
        grace: seconds that a device may be away.
        on_gone: called when a device that was away has not come back in time.
        post: sends messages to other nodes.
    """

    def __init__(self, grace: float, on_gone: Callable[[Device], None], post: Post = lambda _to, _message: None) -> None:
        self.grace = grace
        self._on_gone = on_gone
        self._post = post
        self._streams = count(1)
        self._by_profile: dict[Profile, dict[str, Device]] = {}
        self._by_id: dict[str, Device] = {}
        self._by_token: dict[str, Device] = {}
        self._away: dict[Device, asyncio.TimerHandle] = {}

    # -- devices of this node -----------------------------------------------------------------------------------------

    def open(self, profile: Profile, version: int, connection: Connection | None, issued_at: float | None = None) -> Device:
        """A new device.

        Args:
            connection: None: it is about to be connected.
        """
        device = Device(profile, version, connection, issued_at)
        device.arriving = connection is None
        self._add(device)
        return device

    def resumable(self, token: str, profile: Profile, last_seq: int) -> Device | None:
        """The device of that token, if it is the profile's and nothing that it missed is lost."""
        device = self._by_token.get(token)
        if device is None or device.dropped or device.profile != profile or device.missed(last_seq) is None:
            return None
        return device

    def with_token(self, token: str) -> Device | None:
        """The device of that token; None: it is not of this node, or is gone."""
        return self._by_token.get(token)

    def expect(self, device: Device) -> None:
        """The device is about to be connected again: its time is not up any more."""
        device.arriving = True
        self._stop_timer(device)

    def give_up(self, device: Device) -> None:
        """It is not about to be connected any more."""
        device.arriving = False
        if device.connection is None:
            self.lose(device)

    def attach(self, device: Device, connection: Connection) -> None:
        """The device has come back on another connection. One that it still had is closed."""
        self._stop_timer(device)
        if device.connection is not None:
            device.connection.drop(RESUMED_ELSEWHERE, "resumed elsewhere")
        device.attach(connection)

    def lose(self, device: Device) -> None:
        """The device's connection is over. If it may come back, that is awaited; `on_gone` says when it was in vain."""
        device.connection = None
        if device.resumable and self.grace > 0:
            self._await(device)
        else:
            self._remove(device)

    def send_away(self, device: Device, code: int, reason: str) -> None:
        """Close a device's connection. It may come back as the same one."""
        connection = device.connection
        if connection is not None:
            self.lose(device)
            connection.drop(code, reason)

    def drop(self, device: Device, code: int, reason: str) -> None:
        """Send a device away for good, of whatever node: it cannot come back as the same one."""
        self._stop_timer(device)
        device.dropped = True
        connection, device.connection = device.connection, None
        self._remove(device)
        if connection is not None:
            connection.drop(code, reason)
        if device.remote is not None:
            device.remote.drop(device.device_id, code, reason)

    def close(self) -> None:
        """Await no device any more."""
        for device, timer in list(self._away.items()):
            timer.cancel()
            self._remove(device)
        self._away.clear()

    # -- devices of other nodes ---------------------------------------------------------------------------------------

    def meet(self, card: DeviceCard, me: NodeRef) -> Device:
        """A device of another node, as that one describes it. It is kept until its profile is forgotten."""
        device = self._by_id.get(card.device_id)
        if device is None:
            remote = RemoteHome(me, card.home, self._post, next(self._streams), connected=card.connected)
            device = Device.elsewhere(card, remote)
            self._add(device)
        elif device.remote is not None and card.moves >= device.moves:
            self._stop_timer(device)
            device.learn(card)
        return device

    def at_home(self, node: NodeRef) -> tuple[Device, ...]:
        """The devices of another node that are known here."""
        return tuple(one for one in self._by_id.values() if one.remote is not None and one.remote.node == node)

    def cut_off(self, device: Device) -> None:
        """The home of a device is lost: it is away, and only as another one it can come back."""
        assert device.remote is not None, "its home is another node"
        device.remote.connected = False
        self._await(device)

    def remove(self, device: Device) -> None:
        """The device is gone for good, as its home says."""
        self._stop_timer(device)
        self._remove(device)

    def forget(self, profile: Profile) -> None:
        """The profile is in no call of this node any more: its devices of other nodes do not concern it, once what they have said
        is taken."""
        for device in self.known(profile):
            if device.remote is not None and not device.remote.busy:
                self.remove(device)

    def depart(self, device: Device, home: NodeRef, me: NodeRef) -> RemoteHome:
        """A device of this node is about to have another home: that, to be given to the device. Its connection is closed."""
        self._stop_timer(device)
        self._by_token.pop(device.resume_token, None)
        if device.connection is not None:
            device.connection.drop(RESUMED_ELSEWHERE, "resumed elsewhere")
        return RemoteHome(me, home, self._post, next(self._streams), connected=True)

    def settle(self, token: str, given: Resumed) -> Device:
        """A device of another node is one of this node from now on, and about to be connected."""
        device = self._by_id.get(given.device.device_id)
        if device is None:
            device = Device(given.device.profile, given.device.version, None)
            device.device_id, device.can_show_recording = given.device.device_id, given.device.can_show_recording
            self._add(device)
        else:
            self._stop_timer(device)
        self._by_token.pop(device.resume_token, None)
        device.settle(token, given)
        self._by_token[token] = device
        return device

    # -- looking ------------------------------------------------------------------------------------------------------

    def of(self, profile: Profile) -> tuple[Device, ...]:
        """The profile's devices that are connected."""
        return tuple(one for one in self._by_profile.get(profile, {}).values() if one.connected)

    def all(self) -> tuple[Device, ...]:
        """Every device of everybody whose home is this node, connected or away."""
        return tuple(one for one in self._by_id.values() if one.remote is None)

    def known(self, profile: Profile) -> tuple[Device, ...]:
        """Those and the ones that are away and may come back."""
        return tuple(self._by_profile.get(profile, {}).values())

    def get(self, profile: Profile, device_id: str | None) -> Device | None:
        """One device, connected or away."""
        return None if device_id is None else self._by_profile.get(profile, {}).get(device_id)

    def with_id(self, device_id: str) -> Device | None:
        """The device of that id, of whatever profile and node."""
        return self._by_id.get(device_id)

    def __len__(self) -> int:
        """How many are connected to this node."""
        return sum(one.connection is not None for one in self._by_id.values())

    # -- inside -------------------------------------------------------------------------------------------------------

    def _add(self, device: Device) -> None:
        self._by_profile.setdefault(device.profile, {})[device.device_id] = device
        self._by_id[device.device_id] = device
        if device.resumable and device.resume_token:
            self._by_token[device.resume_token] = device

    def _await(self, device: Device) -> None:
        self._stop_timer(device)
        self._away[device] = asyncio.get_running_loop().call_later(self.grace, self._expire, device)

    def _stop_timer(self, device: Device) -> None:
        timer = self._away.pop(device, None)
        if timer is not None:
            timer.cancel()

    def _expire(self, device: Device) -> None:
        self._away.pop(device, None)
        self._remove(device)
        self._on_gone(device)

    def _remove(self, device: Device) -> None:
        self._by_token.pop(device.resume_token, None)
        if self._by_id.get(device.device_id) is device:
            del self._by_id[device.device_id]
        mine = self._by_profile.get(device.profile, {})
        if mine.get(device.device_id) is device:
            del mine[device.device_id]
        if not mine:
            self._by_profile.pop(device.profile, None)
