"""What an answer made of threads, work items or entries shows, as the access log records it."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.audit.access import READ, SEARCH, Access, Tokens, sought
from hilum.audit.thread import Found, Thread
from hilum.audit.veil import PROTECTED_KINDS
from hilum.authoring.caller import Caller


def thread_access(
    caller: Caller,
    operation: str,
    key: str,
    found: Found,
    *,
    tokens: Tokens | None,
    phi_shown: bool = False,
    peer: str = "",
) -> Access:
    """The record of one search or one look at a thread.

    ``key`` is what was asked for, as it was typed. A key of a protected kind, or of no known kind, is recorded as a
    token: what leads nowhere may be somebody's number all the same.
    """
    protected = [kind for kind in found.kinds if kind in PROTECTED_KINDS]
    asked: dict[str, str] = {}
    hidden: dict[str, str] = {}
    if protected or not found.total:
        hidden = {kind: sought(kind, key.strip(), tokens) for kind in (protected or sorted(PROTECTED_KINDS))}
    else:
        asked = {"key": key.strip()}
    subjects = [address for thread in found.threads for address in addresses_of(thread)]
    subjects += [summary.address for summary in found.summaries]
    shown = frozenset({"phi"} if phi_shown and found.threads else ())
    return Access(
        caller,
        READ if len(found.threads) == 1 else SEARCH,
        operation,
        "Thread",
        tuple(dict.fromkeys(subjects)),
        shown=shown,
        masked=frozenset() if shown or not found.threads else frozenset({"phi"}),
        filter=asked,
        sought=hidden,
        found=found.total,
        peer=peer,
    )


def addresses_of(thread: Thread) -> list[str]:
    """Every address whose content a thread shows."""
    return [
        thread.address,
        *(message.address for message in thread.messages),
        *(event.address for event in thread.events),
        *(f"d/{delivery.key}" for delivery in thread.deliveries),
        *(f"w/{item.id}" for item in thread.work_items),
    ]


def items_access(caller: Caller, operation: str, items: Iterable[int], *, peer: str = "") -> Access:
    """The record of a look at work items."""
    numbers = list(items)
    return Access(
        caller, READ, operation, "WorkItem", tuple(f"w/{number}" for number in numbers), found=len(numbers), peer=peer
    )
