"""The tables of recordings: the rows themselves, consents, and scopes in which recording is restricted."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Update, and_, delete, literal, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from relay.cluster.api import NodeIdentity
from relay.db.cursors import cursor_of, position_of
from relay.db.engine import execute
from relay.db.models import OF_KIND, RecordingConsentRow, RecordingPolicyRow, RecordingRow
from relay.db.models.base import UtcDateTime
from relay.db.models.recordings import IS_UNFINISHED
from relay.db.profiles import columns, insert_new, names, upsert, values
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import Page
from relay.records.recordings import (
    CaptureResult,
    ConsentAnswer,
    NewRecording,
    RecordingConsent,
    RecordingEnd,
    RecordingFilter,
    RecordingPolicy,
    RecordingRecord,
    RecordingState,
    RecordingVerdict,
)

BATCH: Final = 200
"""Rows per transaction of what removes old ones."""

ABANDONED_AFTER: Final = timedelta(minutes=5)
"""From the end of a call to the moment in which another server closes its recording: the server that has it does so at once."""

_RECORDING_ID: Final = re.compile(r"[0-9a-f]{32}")
_ID: Final = re.compile(r"[0-9a-f]{32}")


class SqlRecordings:
    """`relay.records.recordings.RecordingLog`, and what the API and the jobs need beyond that.

    Every change is one conditional statement. Ids that are none find nothing.
    """

    def __init__(self, engine: AsyncEngine, cluster: NodeIdentity) -> None:
        """
        Args:
            cluster: has the name of this server, which its recordings get.
        """
        self._engine = engine
        self._cluster = cluster

    # -- calls --------------------------------------------------------------------------------------------------------

    async def started(self, recording: NewRecording) -> None:
        """Insert the recording's row with state `capturing`. The history of a whiteboard call names it, too."""
        async with self._engine.begin() as connection:
            inserted = await insert_new(
                connection,
                RecordingRow,
                id=recording.recording_id,
                call_id=recording.call_id,
                scope_kind=recording.scope.kind.value,
                scope_id=recording.scope.scope_id,
                **values(recording.caller, "caller_"),
                **values(recording.callee, "callee_"),
                state=RecordingState.CAPTURING.value,
                started_at=recording.started_at,
                policy=recording.policy.value,
                policy_version=recording.policy_version,
                consented=recording.consented,
                node=self._cluster.name,
                sealed=recording.sealed,
            )
            row: Any = OF_KIND[recording.scope.kind].calls
            if inserted and hasattr(row, "recording_id"):
                naming = update(row).where(row.call_id == recording.call_id)
                await connection.execute(naming.values(recording_id=recording.recording_id))

    async def captured(self, recording_id: str, at: datetime, result: CaptureResult) -> None:
        """`capturing` → `captured`, or `failed` if nothing was written. A recording that is being deleted stays so."""
        row = RecordingRow
        left = {"packets": result.packets, "bytes": result.bytes, "dropped": result.dropped, "files": dict(result.files)}
        state = RecordingState.CAPTURED if result.files else RecordingState.FAILED
        async with self._engine.begin() as connection:
            ending = update(row).where(row.id == recording_id, row.ended_at.is_(None))
            await connection.execute(ending.values(ended_at=at, end_reason=result.reason.value, **left))
            moving = update(row).where(row.id == recording_id, row.state == RecordingState.CAPTURING.value)
            await connection.execute(moving.values(state=state.value))

    async def answered(self, consent: RecordingConsent) -> None:
        """Insert what a party has said."""
        async with self._engine.begin() as connection:
            await insert_new(
                connection,
                RecordingConsentRow,
                id=consent.consent_id,
                recording_id=consent.recording_id,
                call_id=consent.call_id,
                **values(consent.profile),
                answer=consent.answer.value,
                answered_at=consent.at,
                policy_version=consent.policy_version,
                text_hash=consent.text_hash,
            )

    async def discard(self, recording_id: str) -> None:
        """→ `deleting`, unless it is under legal hold."""
        await self._begin_deletion(RecordingRow.id == recording_id)

    async def policy(self, scope: Scope) -> RecordingPolicy | None:
        """The policy of the scope itself; None: it has none."""
        row = RecordingPolicyRow
        query = select(row.policy).where(row.scope_kind == scope.kind.value, row.scope_id == scope.scope_id)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return None if found is None else RecordingPolicy(found)

    async def set_policy(self, scope: Scope, policy: RecordingPolicy | None) -> None:
        """Give a scope a policy of its own; None: take it away."""
        row, key = RecordingPolicyRow, {"scope_kind": scope.kind.value, "scope_id": scope.scope_id}
        async with self._engine.begin() as connection:
            if policy is None:
                of_scope = (row.scope_kind == scope.kind.value, row.scope_id == scope.scope_id)
                await connection.execute(delete(row).where(*of_scope))
            else:
                adding = upsert(connection, row).values(**key, policy=policy.value)
                await connection.execute(adding.on_conflict_do_update(index_elements=[*key], set_={"policy": policy.value}))

    async def close_lost(self, concerns: Callable[[str], bool], at: datetime) -> Sequence[str]:
        """Close the recordings whose server does not capture them any more.

        They end as `server_lost` when their call did, as far as its row says; else when they began. The file says more.

        Args:
            concerns: whether this server captures a recording, or is about to write how it ended. Asked once its row was read.
        """
        closed = []
        for found in await self._lost(at):
            if concerns(found.id):
                continue
            ended = max(found.started_at, found.call_ended_at or found.started_at)
            row = RecordingRow
            closing = update(row).where(row.id == found.id, row.state == RecordingState.CAPTURING.value)
            lost = {"state": RecordingState.CAPTURED.value, "end_reason": RecordingEnd.SERVER_LOST.value, "ended_at": ended}
            if await execute(self._engine, closing.values(**lost)):
                closed.append(found.id)
        return closed

    async def _lost(self, at: datetime) -> Sequence[Row[Any]]:
        found: list[Any] = []
        async with self._engine.connect() as connection:
            for kind, tables in OF_KIND.items():
                row, calls = RecordingRow, tables.calls
                # An open call that another process of this name owns goes on there, and so may its recording.
                ours = or_(calls.owner_epoch.is_(None), calls.owner_epoch == self._cluster.me.incarnation)
                own = and_(row.node == self._cluster.name, or_(calls.ended_at.is_not(None), ours))
                abandoned = or_(own, calls.ended_at < at - ABANDONED_AFTER)
                query = (
                    select(row.id, row.started_at, calls.ended_at.label("call_ended_at"))
                    .outerjoin(calls, calls.call_id == row.call_id)
                    .where(text(IS_UNFINISHED), row.state == RecordingState.CAPTURING.value)
                    .where(row.scope_kind == kind.value, abandoned)
                )
                found += (await connection.execute(query)).all()
        return found

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, recording_id: str, participant: Profile | None = None) -> RecordingRecord | None:
        """A recording, whatever its state; None: there is none.

        Args:
            participant: only if this profile may see it itself (`RecordingFilter.participant`), and it is not being deleted.
        """
        if not _RECORDING_ID.fullmatch(recording_id):
            return None
        conditions = [RecordingRow.id == recording_id]
        if participant is not None:
            conditions += _conditions(RecordingFilter(participant=participant))
        async with self._engine.connect() as connection:
            found = (await connection.execute(select(*_COLUMNS).where(*conditions))).one_or_none()
        return None if found is None else _record(found)

    async def page(self, wanted: RecordingFilter, *, limit: int, cursor: str | None = None) -> Page[RecordingRecord]:
        """Recordings, newest first.

        Args:
            limit: how many at most; at least 1. (The caller bounds it.)
            cursor: `next_cursor` of the page before; None: from the newest on.

        Raises:
            ValueError: the cursor is none of ours.
        """
        row, conditions = RecordingRow, _conditions(wanted)
        if cursor is not None:
            started_at, recording_id = position_of(cursor, _ID)
            before = tuple_(literal(started_at, UtcDateTime), literal(recording_id))
            conditions.append(tuple_(row.started_at, row.id) < before)
        query = select(*_COLUMNS).where(*conditions).order_by(row.started_at.desc(), row.id.desc()).limit(limit + 1)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        found = tuple(_record(one) for one in rows[:limit])
        return Page(found, cursor_of(found[-1].started_at, found[-1].recording_id) if len(rows) > limit else None)

    async def consents(self, recording_id: str) -> Sequence[RecordingConsent]:
        """What the parties have said, oldest first."""
        row = RecordingConsentRow
        query = (
            select(row.id, row.recording_id, row.call_id, *columns(row), row.answer, row.answered_at)
            .add_columns(row.policy_version, row.text_hash)
            .where(row.recording_id == recording_id)
            .order_by(row.answered_at, row.id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            RecordingConsent(
                consent_id=one.id,
                recording_id=one.recording_id,
                call_id=one.call_id,
                profile=Profile(one.profile_type, one.profile_id),
                answer=ConsentAnswer(one.answer),
                at=one.answered_at,
                policy_version=one.policy_version,
                text_hash=one.text_hash,
            )
            for one in rows
        ]

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def unfinished(self, state: RecordingState, *, limit: int = BATCH) -> Sequence[RecordingRecord]:
        """The recordings of this server in a state that something is still to be done about, oldest first.

        Args:
            state: `CAPTURING`, `CAPTURED`, `ASSEMBLING` or `DELETING`.
        """
        row = RecordingRow
        mine = (text(IS_UNFINISHED), row.node == self._cluster.name, row.state == state.value)
        query = select(*_COLUMNS).where(*mine).order_by(row.started_at, row.id).limit(limit)
        async with self._engine.connect() as connection:
            return [_record(one) for one in (await connection.execute(query)).all()]

    async def move(self, recording_id: str, from_states: Collection[RecordingState], to: RecordingState) -> bool:
        """Change the state, if it is one of those; whether it was. Exactly one caller wins.

        An attempt is counted when it becomes `ASSEMBLING`.
        """
        row = RecordingRow
        changed: dict[str, Any] = {"state": to.value}
        if to is RecordingState.ASSEMBLING:
            changed["attempts"] = row.attempts + 1
        return await self._change(recording_id, from_states, update(row).values(changed))

    async def assembled(self, recording_id: str, files: Mapping[str, int], note: str | None = None) -> bool:
        """`assembling` → `ready`, with all files that there are now; whether it was `assembling`."""
        done = {"state": RecordingState.READY.value, "files": dict(files), "note": note}
        return await self._change(recording_id, [RecordingState.ASSEMBLING], update(RecordingRow).values(done))

    async def assembly_failed(self, recording_id: str, note: str, *, again: bool) -> bool:
        """`assembling` → `captured` if it is to be tried again, or `failed`; whether it was `assembling`."""
        state = RecordingState.CAPTURED if again else RecordingState.FAILED
        failed = update(RecordingRow).values(state=state.value, note=note)
        return await self._change(recording_id, [RecordingState.ASSEMBLING], failed)

    async def set_verdict(
        self, recording_id: str, verdict: RecordingVerdict, *, files: Mapping[str, int] | None = None, note: str | None = None
    ) -> bool:
        """Note what a verification has found; whether there is such a recording that is not being deleted.

        Args:
            files: all that there are now; None: as they were. `note` likewise.
        """
        changed: dict[str, Any] = {"verdict": verdict.value}
        if files is not None:
            changed["files"] = dict(files)
        if note is not None:
            changed["note"] = note
        kept = [state for state in RecordingState if state is not RecordingState.DELETING]
        return await self._change(recording_id, kept, update(RecordingRow).values(changed))

    async def _change(self, recording_id: str, states: Collection[RecordingState], change: Update) -> bool:
        row = RecordingRow
        which = (row.id == recording_id, row.state.in_([state.value for state in states]))
        return await execute(self._engine, change.where(*which)) == 1

    # -- deletion -----------------------------------------------------------------------------------------------------

    async def set_legal_hold(self, recording_id: str, hold: bool) -> bool:
        """Keep a recording from being deleted, or not any more; whether there is such a recording that is not being deleted."""
        row = RecordingRow
        holding = update(row).where(row.id == recording_id, row.state != RecordingState.DELETING.value)
        return await execute(self._engine, holding.values(legal_hold=hold)) == 1

    async def begin_deletion(self, recording_id: str) -> bool:
        """→ `deleting`: from now on it is not shown. False if it is under legal hold, still captured, or not there.

        Its files are to be removed next, and then the row (`removed`). A start finds what was interrupted by `unfinished`.
        """
        over = RecordingRow.state != RecordingState.CAPTURING.value
        return await self._begin_deletion(RecordingRow.id == recording_id, over) == 1

    async def expire(self, before: datetime) -> int:
        """→ `deleting` for the oldest recordings that ended before a time; how many: `BATCH` at most."""
        old = aliased(RecordingRow)
        done = [state.value for state in (RecordingState.CAPTURED, RecordingState.READY, RecordingState.FAILED)]
        some = (
            select(old.id)
            .where(old.started_at < before, old.ended_at < before, old.state.in_(done), old.legal_hold.is_(False))
            .order_by(old.started_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        return await self._begin_deletion(RecordingRow.id.in_(some))

    async def _begin_deletion(self, *which: ColumnElement[bool]) -> int:
        row = RecordingRow
        deletable = (row.legal_hold.is_(False), row.state != RecordingState.DELETING.value)
        return await execute(self._engine, update(row).where(*which, *deletable).values(state=RecordingState.DELETING.value))

    async def removed(self, recording_id: str) -> bool:
        """The files of a recording that was being deleted are gone: its row goes too. Its consents and accesses stay."""
        row = RecordingRow
        removing = delete(row).where(row.id == recording_id, row.state == RecordingState.DELETING.value)
        return await execute(self._engine, removing) == 1


_COLUMNS: Final = tuple(RecordingRow.__table__.columns)


def _conditions(wanted: RecordingFilter) -> list[ColumnElement[bool]]:
    row = RecordingRow
    states = wanted.states or [state for state in RecordingState if state is not RecordingState.DELETING]
    found: list[ColumnElement[bool]] = [row.state.in_([state.value for state in states])]
    if wanted.participant is not None:
        found += [_of_party(wanted.participant), row.policy == RecordingPolicy.CONSENT.value]
        found.append(row.state != RecordingState.DELETING.value)
    if wanted.profile is not None:
        found.append(_of_party(wanted.profile))
    if wanted.scope is not None:
        found.append(and_(row.scope_kind == wanted.scope.kind.value, row.scope_id == wanted.scope.scope_id))
    if wanted.started_from is not None:
        found.append(row.started_at >= wanted.started_from)
    if wanted.started_before is not None:
        found.append(row.started_at < wanted.started_before)
    exact = ((row.call_id, wanted.call_id), (row.verdict, wanted.verdict), (row.node, wanted.node))
    return found + [column == value for column, value in exact if value is not None]


def _of_party(profile: Profile) -> ColumnElement[bool]:
    return or_(names(RecordingRow, profile, "caller_"), names(RecordingRow, profile, "callee_"))


def _record(row: Row[Any]) -> RecordingRecord:
    return RecordingRecord(
        recording_id=row.id,
        call_id=row.call_id,
        scope=Scope(ScopeKind(row.scope_kind), row.scope_id),
        caller=Profile(row.caller_profile_type, row.caller_profile_id),
        callee=Profile(row.callee_profile_type, row.callee_profile_id),
        state=RecordingState(row.state),
        end_reason=row.end_reason,
        started_at=row.started_at,
        ended_at=row.ended_at,
        packets=row.packets,
        bytes=row.bytes,
        dropped=row.dropped,
        files=row.files or {},
        verdict=RecordingVerdict(row.verdict),
        policy=RecordingPolicy(row.policy),
        policy_version=row.policy_version,
        consented=row.consented,
        legal_hold=row.legal_hold,
        node=row.node,
        sealed=row.sealed,
        attempts=row.attempts,
        note=row.note,
    )
