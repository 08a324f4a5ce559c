"""What outlives a call: who exists, who shares what with whom, what each has settled, and the calls with their chat messages.

`relay.signaling.ports` says what calls need: `SqlDirectory`, `SqlCallLog`, `SqlChatLog` and `SqlMissedCalls` provide it, on
SQLite and on PostgreSQL. For the API there are `SqlSettings`, `SqlPlatform`, `SqlHistory`, `SqlPushSubscriptions`,
`SqlRetention` and `SqlPersonalData`, whose results are the plain records of `relay.records.calls`. `SqlRecordings` has the
recordings of calls for both.
"""
