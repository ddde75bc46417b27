"""Postings become news for billing: the clerk states each of them once it stands in the ledger, or waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import asyncpg

from hilum.authoring.estate import Estate
from hilum.model.settlement import SettlementNote
from hilum.processes.patient_to_cash.settlement import PostingSettled, posting_settled
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import stated

SOURCE = "settlement"
_ACTOR = "system:settlement"
_MOST = 200

# A refusal waits with the case that staged the source: its delivery's key is the case and the step.
_NEWS = """
    WITH standing AS (
        SELECT j.source, j.facility, j.total, j.posted_on, 'posted' AS state, j.number AS said
          FROM posting_journal j WHERE j.number IS NOT NULL
        UNION ALL
        SELECT j.source, j.facility, j.total, NULL, 'refused', min(w.title)
          FROM posting_journal j
          JOIN posting_source s USING (source)
          JOIN work_item_case c ON c.subject = 'c/' || regexp_replace(s.staged_by, '/[^/]*$', '')
          JOIN work_item w ON w.id = c.work_item AND w.state = 'open'
         WHERE j.number IS NULL AND s.staged_by <> ''
         GROUP BY j.source, j.facility, j.total
    )
    SELECT n.source, s.kind, s.reference, s.payer, n.facility, n.state, n.said, s.on_day AS day, n.posted_on, n.total AS amount_usd
      FROM standing n JOIN posting_source s USING (source)
      LEFT JOIN settlement_told t ON t.source = n.source AND t.facility = n.facility
     WHERE t.source IS NULL OR (t.state, t.said) IS DISTINCT FROM (n.state, n.said)
     ORDER BY s.staged_at, n.source, n.facility LIMIT $1
"""


class SettlementClerk:
    """States what is news. ``intake`` writes a shard of this process's own. Nothing is stated where no flow returns it."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, intake: Intake, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._intake = intake
        self._clock = clock

    async def run_once(self) -> int:
        """How many postings were news."""
        if not self._estate.flows_on(PostingSettled.type_name()):
            return 0
        rows = await self._pool.fetch(_NEWS, _MOST)
        for row in rows:
            note = SettlementNote.model_validate(dict(row))
            reception = stated(self._estate, posting_settled(note), source=SOURCE, peer=_ACTOR)
            _: Receipt = await self._intake.submit(reception, lambda receipt: receipt)
            # A crash between the two states the same fact again, which then is a known one.
            await self._pool.execute(
                """INSERT INTO settlement_told (source, facility, state, said, told_at) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (source, facility) DO UPDATE
                   SET state = excluded.state, said = excluded.said, told_at = excluded.told_at""",
                note.source, note.facility, note.state, note.said, self._clock(),
            )  # fmt: skip
        return len(rows)
