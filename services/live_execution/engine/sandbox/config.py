"""A sandbox venue of the contract → the config of its execution client."""

from decimal import Decimal

from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.model.enums import AccountType, BookType, OmsType

from mesh.execution.v1.trader_pb2 import SandboxVenue
from meshkit.nautilus.enums import to_nautilus


class SandboxConfig(SandboxExecutionClientConfig, frozen=True, kw_only=True):
    """Configuration for sandboxes that outlive their process.

    Parameters
    ----------
    life
        Which process of the trader this is, from 1: its lease's number. Ids that the venue gives
        out differ from those of every other life.

    """

    life: int = 1


def sandbox_config(venue: str, spec: SandboxVenue, life: int = 1) -> SandboxConfig:
    """Return the config of a venue; what is absent has the default that the contract says."""
    account = spec.account_type and to_nautilus(AccountType, spec.account_type)
    oms = spec.oms_type and to_nautilus(OmsType, spec.oms_type)
    book = spec.book_type and to_nautilus(BookType, spec.book_type)
    return SandboxConfig(
        venue=venue,
        life=life,
        starting_balances=[f"{each.amount} {each.currency}" for each in spec.starting_balances],
        base_currency=spec.base_currency or None,
        account_type=(account or AccountType.MARGIN).name,
        oms_type=(oms or OmsType.NETTING).name,
        book_type=(book or BookType.L1_MBP).name,
        default_leverage=Decimal(spec.default_leverage or 1),
        leverages={key: float(value) for key, value in spec.leverages.items()},
        reject_stop_orders=_flag(spec, "reject_stop_orders"),
        bar_execution=_flag(spec, "bar_execution"),
        trade_execution=_flag(spec, "trade_execution"),
    )


def _flag(spec: SandboxVenue, name: str) -> bool:
    """Return an option that is on unless it was set."""
    return bool(getattr(spec, name)) if spec.HasField(name) else True  # type: ignore[arg-type] # one of three literals
