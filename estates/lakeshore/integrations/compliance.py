"""Evidence goes to the compliance archive: what is asked for, and each facility's month when it has ended."""

from __future__ import annotations

from hilum.processes.evidence import archive_evidence

__all__ = ["archive_evidence"]
