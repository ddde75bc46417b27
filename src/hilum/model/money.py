"""Money: an exact decimal amount with its currency."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from pydantic import BaseModel, ConfigDict, Field

_CENT = Decimal("0.01")


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were added or compared."""


class Money(BaseModel):
    """An amount in units of ``currency`` (ISO 4217), kept to the cent when it is booked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Decimal
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")

    @classmethod
    def usd(cls, amount: Decimal | int | str) -> Money:
        return cls(amount=Decimal(amount), currency="USD")

    def rounded(self) -> Money:
        """To the cent, half to even, as ledgers round."""
        return Money(amount=self.amount.quantize(_CENT, ROUND_HALF_EVEN), currency=self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(amount=self.amount + self._same(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(amount=self.amount - self._same(other), currency=self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(amount=self.amount * factor, currency=self.currency)

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not add up; convert one of them first.")
        return other.amount

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"
