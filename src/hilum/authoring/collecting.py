"""Collections: facts that come by the thousand go into the platform's books line by line, and start no flow each.

@collect(on=(ChargeRecorded, ImplantUsed), into=revenue, placed=place_of_charge, owner="revenue-cycle")
def charges(event: ChargeRecorded | ImplantUsed) -> Charge | None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hilum.authoring.contract import Contract
from hilum.authoring.system import System
from hilum.model.charge import Charge, ChargePlace


@dataclass(eq=False)
class Collection:
    """A pure function from an event to the charge that the books collect of it. Called directly, it is that function."""

    function: Callable[[Any], Charge | None]
    placed: Callable[[Charge], ChargePlace]
    on: tuple[type[Contract], ...]
    into: System
    name: str
    owner: str
    version: int = 1

    def __call__(self, event: Any) -> Charge | None:
        return self.function(event)


def collect(
    *,
    on: type[Contract] | Sequence[type[Contract]],
    into: System,
    placed: Callable[[Charge], ChargePlace],
    owner: str = "",
    version: int = 1,
) -> Callable[[Callable[[Any], Charge | None]], Collection]:
    """Declare a collection: every event of these types becomes one line of the books ``into``, or none where the function says None.

    ``placed`` says where a charge belongs. It may look up crosswalks and raise ``Rejected``: the charge is then kept aside, and
    all that were kept aside for one cause are one work item, whose release has them placed again.
    """
    events = (on,) if inspect.isclass(on) else tuple(on)

    def declare(function: Callable[[Any], Charge | None]) -> Collection:
        return Collection(function, placed, events, into, function.__name__, owner, version)

    return declare
