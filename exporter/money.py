"""Order lines in minor units of their currency, and the fence that counts each line of an order once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, NamedTuple

from eventlog.event import Event, Item

NO_CURRENCY: Final = "XXX"

# ISO 4217: currencies whose minor unit is not a hundredth.
_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_EXPONENTS: Final = {
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
# An amount of more digits before the point is a mistake, not a price; below it minor units fit 64 bits.
_MAX_DIGITS: Final = 14
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)

OrderKey = tuple[str, ...]


class Line(NamedTuple):
    """One line of an order. `product` is None where the event has no items (the line then is the whole order) and ""
    where an item does not say which product it is; `amount` is in minor units, None where nothing usable is stated."""

    product: str | None
    currency: str
    amount: int | None


def exponent_of(currency: str) -> int:
    """How many decimals an amount of `currency` has."""
    return _EXPONENTS.get(currency, 2)


def minor_units(amount: Decimal, currency: str) -> int | None:
    """`amount` rounded half-up (away from zero) to minor units; None if it is absurdly large."""
    if amount and amount.adjusted() >= _MAX_DIGITS:
        return None
    return int(amount.quantize(Decimal(1).scaleb(-exponent_of(currency)), context=_EXACT).scaleb(exponent_of(currency)))


def money_text(minor: int, currency: str) -> str:
    """Minor units as a decimal string with the currency's decimals: 8990, "EUR" -> "89.90"."""
    exponent = exponent_of(currency)
    if not exponent:
        return str(minor)
    sign = "-" if minor < 0 else ""
    whole, rest = divmod(abs(minor), 10**exponent)
    return f"{sign}{whole}.{rest:0{exponent}d}"


def lines_of(event: Event) -> list[Line]:
    """The lines of a `buy` or `return`: one an item; without items one for the order as a whole."""
    order = event.get("order", {})
    stated = order.get("currency")
    items = event.get("items")
    if items:
        return [_line(item, item.get("currency") or stated) for item in items]
    currency = _currency(stated)
    total = order.get("subtotal") or order.get("revenue") or order.get("value") or order.get("total")
    return [Line(None, currency, minor_units(Decimal(total), currency) if total else None)]


def _line(item: Item, stated: str | None) -> Line:
    currency = _currency(stated)
    amount: Decimal | None = None
    if "subtotal" in item:
        amount = Decimal(item["subtotal"])
    elif "price" in item:
        quantity = item.get("quantity", 1)
        amount = _EXACT.multiply(Decimal(item["price"]), Decimal(str(quantity)))
    return Line(item.get("product_id", ""), currency, None if amount is None else minor_units(amount, currency))


def _currency(stated: str | None) -> str:
    return (stated or "").strip().upper() or NO_CURRENCY


@dataclass(slots=True)
class Sale:
    """What orders add up to: how many, and their gross value in minor units per currency."""

    orders: int = 0
    revenue: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Sales:
    """Orders and refunds, fed in order. Order lines are distinct by (order, product, ordinal within the event), so an
    order reported by browser and server counts once, by its first report. An order first reported without items takes
    no further lines, and one reported with items none without: both would be the same money again."""

    orders: dict[OrderKey, Counter[str]] = field(default_factory=dict)
    refunds: Counter[str] = field(default_factory=Counter)
    _seen: set[tuple[OrderKey, str | None, int]] = field(default_factory=set)
    _whole: dict[OrderKey, bool] = field(default_factory=dict)

    def buy(self, key: OrderKey, lines: Sequence[Line]) -> Sale:
        """Count the lines that are new; answers what they added. Negative lines are refunds."""
        sale = Sale()
        ordinals: Counter[str | None] = Counter()
        for product, currency, amount in lines:
            ordinal = ordinals[product]
            ordinals[product] += 1
            whole = product is None
            line = (key, product, ordinal)
            if line in self._seen or self._whole.setdefault(key, whole) is not whole:
                continue
            self._seen.add(line)
            if amount is not None and amount < 0:
                self.refunds[currency] -= amount
                continue
            if key not in self.orders:
                self.orders[key] = Counter()
                sale.orders += 1
            if amount is not None:
                self.orders[key][currency] += amount
                sale.revenue[currency] += amount
        return sale

    def give_back(self, lines: Sequence[Line]) -> None:
        """Count a `return`: each event's own lines, whatever their sign."""
        for _, currency, amount in lines:
            if amount:
                self.refunds[currency] += abs(amount)
