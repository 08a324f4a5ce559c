"""Who is connected right now: profile → its devices."""

from relay.ids import Profile
from relay.signaling.ports import Device


class Devices:
    """The connections of every profile, in the order in which they came."""

    def __init__(self) -> None:
        self._by_profile: dict[Profile, dict[str, Device]] = {}

    def add(self, device: Device) -> None:
        self._by_profile.setdefault(device.profile, {})[device.device_id] = device

    def remove(self, device: Device) -> None:
        mine = self._by_profile.get(device.profile, {})
        mine.pop(device.device_id, None)
        if not mine:
            self._by_profile.pop(device.profile, None)

    def of(self, profile: Profile) -> tuple[Device, ...]:
        return tuple(self._by_profile.get(profile, {}).values())

    def get(self, profile: Profile, device_id: str | None) -> Device | None:
        """One device, if it is still connected."""
        return None if device_id is None else self._by_profile.get(profile, {}).get(device_id)

    def __len__(self) -> int:
        return sum(len(mine) for mine in self._by_profile.values())
