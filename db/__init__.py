"""What outlives a call: who exists, who shares a conversation with whom, and the `call_logs` table.

`relay.signaling.ports` says what is needed; `SqlDirectory` and `SqlCallLog` provide it on SQLite and on PostgreSQL.
"""
