"""Stores whose changes reach calls and connections at once: a deleted, removed or blocked profile leaves its calls.

They stand before the stores of `db`, so that it does not matter by which request a change comes.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from relay.http.access.revocations import Revocations
from relay.http.ports import Enforcer, PersonalData, Platform, ProfileSettings
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import BlockRecord, Page, ProfileSettingsChange, RevocationCause, ScopeRecord, SettingsRecord
from relay.records.profiles import Privacy, ProfileCard


class EnforcedPlatform:
    """`Platform`, with consequences."""

    def __init__(self, platform: Platform, enforcer: Enforcer, revocations: Revocations) -> None:
        self._platform = platform
        self._enforcer = enforcer
        self._revocations = revocations

    async def put_profiles(self, cards: Collection[ProfileCard]) -> None:
        await self._platform.put_profiles(cards)
        await self._revocations.restore([card.profile for card in cards])

    async def delete_profile(self, profile: Profile) -> bool:
        deleted = await self._platform.delete_profile(profile)
        await self._revocations.revoke(profile, datetime.now(UTC), RevocationCause.DELETED)
        return deleted

    async def put_scope(self, scope: Scope, members: Collection[Profile], *, keep_chat: bool = False) -> bool:
        is_new = await self._platform.put_scope(scope, members, keep_chat=keep_chat)
        if not is_new:
            await self._enforcer.review(scope)
        return is_new

    async def put_scopes(self, kind: ScopeKind, scopes: Sequence[ScopeRecord]) -> Sequence[str | None]:
        faults = await self._platform.put_scopes(kind, scopes)
        changed = [one.scope for one, fault in zip(scopes, faults, strict=True) if fault is None]
        if changed:
            await self._enforcer.review(*changed)
        return faults

    async def delete_scope(self, scope: Scope) -> bool:
        deleted = await self._platform.delete_scope(scope)
        await self._enforcer.review(scope)
        return deleted

    async def scope(self, scope: Scope) -> ScopeRecord | None:
        return await self._platform.scope(scope)

    async def add_member(self, scope: Scope, profile: Profile) -> bool:
        return await self._platform.add_member(scope, profile)

    async def remove_member(self, scope: Scope, profile: Profile) -> bool:
        removed = await self._platform.remove_member(scope, profile)
        await self._enforcer.review(scope)
        return removed

    async def connect(self, one: Profile, other: Profile) -> bool:
        return await self._platform.connect(one, other)

    async def connect_all(self, pairs: Sequence[tuple[Profile, Profile]]) -> Sequence[str | None]:
        return await self._platform.connect_all(pairs)

    async def disconnect(self, one: Profile, other: Profile) -> bool:
        return await self._platform.disconnect(one, other)

    async def connections(self, profile: Profile) -> Sequence[ProfileCard]:
        return await self._platform.connections(profile)

    async def list_profiles(self, limit: int, cursor: str | None = None) -> Page[ProfileCard]:
        return await self._platform.list_profiles(limit, cursor)

    async def list_scopes(self, kind: ScopeKind, limit: int, cursor: str | None = None) -> Page[ScopeRecord]:
        return await self._platform.list_scopes(kind, limit, cursor)

    async def list_connections(self, limit: int, cursor: str | None = None) -> Page[tuple[Profile, Profile]]:
        return await self._platform.list_connections(limit, cursor)


class EnforcedSettings:
    """`ProfileSettings`, with consequences."""

    def __init__(self, settings: ProfileSettings, enforcer: Enforcer) -> None:
        self._settings = settings
        self._enforcer = enforcer

    async def settings(self, profile: Profile) -> SettingsRecord:
        return await self._settings.settings(profile)

    async def change_settings(
        self, profile: Profile, *, privacy: Privacy | None = None, do_not_disturb: bool | None = None
    ) -> SettingsRecord:
        return await self._settings.change_settings(profile, privacy=privacy, do_not_disturb=do_not_disturb)

    async def change_all(self, changes: Sequence[ProfileSettingsChange]) -> Sequence[str | None]:
        return await self._settings.change_all(changes)

    async def blocks(self, profile: Profile) -> Sequence[BlockRecord]:
        return await self._settings.blocks(profile)

    async def block(self, profile: Profile, blocked: Profile) -> bool:
        is_new = await self._settings.block(profile, blocked)
        # Also if it is not: the call may have begun before the first time was through.
        await self._enforcer.block(profile, blocked)
        return is_new

    async def block_all(self, pairs: Sequence[tuple[Profile, Profile]]) -> Sequence[str | None]:
        faults = await self._settings.block_all(pairs)
        for pair, fault in zip(pairs, faults, strict=True):
            if fault is None:
                await self._enforcer.block(*pair)
        return faults

    async def unblock(self, profile: Profile, blocked: Profile) -> bool:
        return await self._settings.unblock(profile, blocked)


class EnforcedPersonalData:
    """`PersonalData`, with consequences."""

    def __init__(self, data: PersonalData, revocations: Revocations) -> None:
        self._data = data
        self._revocations = revocations

    async def export(self, profile: Profile) -> dict[str, Any] | None:
        return await self._data.export(profile)

    async def erase(self, profile: Profile, at: datetime) -> bool:
        # Close devices and calls first: the erasure then covers what they wrote until they ended.
        await self._revocations.revoke(profile, at, RevocationCause.DELETED)
        return await self._data.erase(profile, at)
