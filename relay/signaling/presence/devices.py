"""Who is connected right now: profile → its devices. A device may lose its connection and come back on another one."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from relay.ids import Profile, new_id
from relay.signaling.messages.outgoing import ToClient, Transient, encode
from relay.signaling.ports import Connection
from relay.signaling.presence.outbox import Outbox
from relay.signaling.sessions.addresses import Addresses

VERSION_2: Final = 2
"""The second version of the protocol, which has more messages than the first."""

RESUMED_ELSEWHERE: Final = 4409
"""Close code for a connection whose device has come back on another one."""

TOKEN_BYTES: Final = 24

OPTIONAL_TYPES: Final = frozenset({"call_elsewhere", "call_rejoin_request"})
"""What only those clients get that ask for it when they connect: of the others, no device learns of a call that it is not in."""


class Device:
    """One client of a profile: a tab, a telephone.

    Attributes:
        version: of the protocol that it speaks, 1 or 2 (`VERSION_2`).
        resume_token: by which it comes back as the same device.
        issued_at: when the credential of its latest connection was issued, in seconds since 1970; None: that is not known.
        dropped: it was sent away for good. What it still says is not heard.
        addresses: of its latest connection.
        can_show_recording: it has said that it shows its user when a call is recorded.
        takes: message types of `OPTIONAL_TYPES` that its latest connection has asked for.
    """

    __slots__ = (
        *("_outbox", "addresses", "can_show_recording", "connection", "device_id", "dropped", "issued_at", "profile"),
        *("resume_token", "takes", "version"),
    )

    def __init__(self, profile: Profile, version: int, connection: Connection, issued_at: float | None = None) -> None:
        self.device_id = new_id()
        self.profile = profile
        self.version = version
        self.resume_token = secrets.token_urlsafe(TOKEN_BYTES)
        self.connection: Connection | None = connection
        """None while it is away."""
        self.addresses = Addresses(connection.local_address, connection.remote_address)
        self.issued_at = issued_at
        self.dropped = False
        self.can_show_recording = False
        self.takes: frozenset[str] = frozenset()
        self._outbox = Outbox(keeps=self.resumable)

    @property
    def connected(self) -> bool:
        return self.connection is not None

    @property
    def resumable(self) -> bool:
        """Whether it can come back at all."""
        return self.version >= VERSION_2

    @property
    def can_update(self) -> bool:
        """Whether it takes `call_update`."""
        return self.version >= VERSION_2

    def send(self, message: ToClient) -> None:
        """Send a message, or keep it until the device is back. Never blocks, never fails."""
        if isinstance(message, Transient):
            if self.connection is not None:
                self.connection.send(encode(message))
            return
        frame = self._outbox.add(message)
        if self.connection is not None:
            self.connection.send(frame)

    def arrived(self, last_seq: int) -> None:
        """The client says that it has everything up to that number."""
        self._outbox.arrived(last_seq)

    def missed(self, last_seq: int) -> list[bytes] | None:
        """The frames after that number; None if they are not all here."""
        return self._outbox.after(last_seq)


class Devices:
    """The devices of every profile, in the order in which they came.

    Args:
        grace: seconds that a device may be away.
        on_gone: called when a device that was away has not come back in time.
    """

    def __init__(self, grace: float, on_gone: Callable[[Device], None]) -> None:
        self.grace = grace
        self._on_gone = on_gone
        self._by_profile: dict[Profile, dict[str, Device]] = {}
        self._by_token: dict[str, Device] = {}
        self._away: dict[Device, asyncio.TimerHandle] = {}

    def open(self, profile: Profile, version: int, connection: Connection, issued_at: float | None = None) -> Device:
        """A new device."""
        device = Device(profile, version, connection, issued_at)
        self._by_profile.setdefault(profile, {})[device.device_id] = device
        if device.resumable:
            self._by_token[device.resume_token] = device
        return device

    def resumable(self, token: str, profile: Profile, last_seq: int) -> Device | None:
        """The device of that token, if it is the profile's and nothing that it missed is lost."""
        device = self._by_token.get(token)
        if device is None or device.dropped or device.profile != profile or device.missed(last_seq) is None:
            return None
        return device

    def attach(self, device: Device, connection: Connection) -> None:
        """The device has come back on another connection. One that it still had is closed."""
        timer = self._away.pop(device, None)
        if timer is not None:
            timer.cancel()
        if device.connection is not None:
            device.connection.drop(RESUMED_ELSEWHERE, "resumed elsewhere")
        device.connection = connection
        device.addresses = Addresses(connection.local_address, connection.remote_address)

    def lose(self, device: Device) -> None:
        """The device's connection is over. If it may come back, that is awaited; `on_gone` says when it was in vain."""
        device.connection = None
        if device.resumable and self.grace > 0:
            self._away[device] = asyncio.get_running_loop().call_later(self.grace, self._expire, device)
        else:
            self._remove(device)

    def send_away(self, device: Device, code: int, reason: str) -> None:
        """Close a device's connection. It may come back as the same one."""
        connection = device.connection
        if connection is not None:
            self.lose(device)
            connection.drop(code, reason)

    def drop(self, device: Device, code: int, reason: str) -> None:
        """Send a device away for good: it cannot come back as the same one."""
        timer = self._away.pop(device, None)
        if timer is not None:
            timer.cancel()
        device.dropped = True
        connection, device.connection = device.connection, None
        self._remove(device)
        if connection is not None:
            connection.drop(code, reason)

    def close(self) -> None:
        """Await no device any more."""
        for device, timer in list(self._away.items()):
            timer.cancel()
            self._remove(device)
        self._away.clear()

    def of(self, profile: Profile) -> tuple[Device, ...]:
        """The profile's devices that are connected."""
        return tuple(one for one in self._by_profile.get(profile, {}).values() if one.connected)

    def all(self) -> tuple[Device, ...]:
        """Every device of everybody, connected or away."""
        return tuple(device for mine in self._by_profile.values() for device in mine.values())

    def known(self, profile: Profile) -> tuple[Device, ...]:
        """Those and the ones that are away and may come back."""
        return tuple(self._by_profile.get(profile, {}).values())

    def get(self, profile: Profile, device_id: str | None) -> Device | None:
        """One device, connected or away."""
        return None if device_id is None else self._by_profile.get(profile, {}).get(device_id)

    def __len__(self) -> int:
        """How many are connected."""
        return sum(len(mine) for mine in self._by_profile.values()) - len(self._away)

    def _expire(self, device: Device) -> None:
        self._away.pop(device, None)
        self._remove(device)
        self._on_gone(device)

    def _remove(self, device: Device) -> None:
        self._by_token.pop(device.resume_token, None)
        mine = self._by_profile.get(device.profile, {})
        mine.pop(device.device_id, None)
        if not mine:
            self._by_profile.pop(device.profile, None)
