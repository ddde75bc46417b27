"""Identifiers, each with the authority that issued it: two hospitals may both have an account 1001."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Identifier(BaseModel):
    """A value and the authority it is unique within (HL7 v2 CX.1 and CX.4, FHIR Identifier.value and .system)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "identifier"
    searchable: ClassVar[bool] = True  # Whether people look things up by it; a facility would find everything.

    value: str = Field(min_length=1, max_length=64)
    authority: str = Field(default="", max_length=64)

    def __init__(self, value: str | None = None, authority: str = "", **data: Any) -> None:
        if value is not None:
            data["value"] = value
        if authority:
            data["authority"] = authority
        super().__init__(**data)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        # A table or a command line gives plain text; the authority is then the estate's own.
        return {"value": given} if isinstance(given, str) else given

    def __str__(self) -> str:
        return f"{self.value}@{self.authority}" if self.authority else self.value

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str()`` wrote: ``value@authority`` or ``value``."""
        value, _, authority = text.partition("@")
        return cls(value, authority)


class Mrn(Identifier):
    """A medical record number; PHI."""

    kind = "mrn"


class AccountNumber(Identifier):
    """A patient financial account (HL7 v2 PID-18); PHI."""

    kind = "account"


class ItemNumber(Identifier):
    """An item of the ERP's item master."""

    kind = "item"


class ChargeCode(Identifier):
    """A charge code of the EHR's charge master (HL7 v2 FT1-7)."""

    kind = "charge_code"


class DepartmentCode(Identifier):
    """A department as the sender names it (HL7 v2 FT1-13)."""

    kind = "department"
    searchable = False


class CostCentre(Identifier):
    """A cost centre of the ERP."""

    kind = "cost_centre"
    searchable = False


class LocationCode(Identifier):
    """A stock location of the inventory platform."""

    kind = "location"
    searchable = False


class FacilityCode(Identifier):
    """A hospital of the network (HL7 v2 MSH-4)."""

    kind = "facility"
    searchable = False
