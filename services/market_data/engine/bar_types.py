"""Bar types as Nautilus takes them."""

from nautilus_trader.model.data import BarType

from services.market_data.errors import bad_field


def check(field: str, bar_type: str) -> None:
    """Raise for what is no bar type to Nautilus, such as one of 61 minutes."""
    try:
        spelled = str(BarType.from_str(bar_type))
    except (ValueError, OverflowError) as error:
        raise bad_field(field, f"Nautilus refuses it: {str(error).splitlines()[0]}") from None
    if spelled != bar_type:
        raise bad_field(field, f"is spelled {spelled}")
