"""Remedies in the words of ``meshctl``, where the contract's words name RPCs."""

from meshclient.errors import MeshClientError

_HINTS = {
    "TOKEN_MISSING": "Run `meshctl login`.",
    "TOKEN_INVALID": "The API key may be revoked or expired, or of another mesh: `meshctl login`.",
    "SCOPE_MISSING": "See your scopes with `meshctl whoami`; a key with more is made by an "
    "administrator with `meshctl keys create`.",
    "PROJECT_FORBIDDEN": "`meshctl whoami` lists your projects.",
    "STRATEGY_NOT_FOUND": "`meshctl strategy ls` lists what there is.",
    "STRATEGY_VERSION_NOT_FOUND": "`meshctl strategy versions ID` lists what there is.",
    "STRATEGY_CONFIG_INVALID": "`meshctl strategy show ID` lists the fields of its config.",
    "INSTRUMENT_NOT_FOUND": "`meshctl data instruments` lists what there is; `meshctl data "
    "instruments --create FILE` makes one.",
    "NO_DATA": "`meshctl data ls` lists what there is; `meshctl data import` adds to it.",
    "RANGE_OUTSIDE_COVERAGE": "`meshctl data ls` shows what is covered.",
    "IMPORT_NOT_FOUND": "`meshctl data jobs` lists what there is.",
    "BACKTEST_NOT_FOUND": "`meshctl backtest ls` lists what there is.",
    "RESULT_NOT_READY": "`meshctl backtest watch ID` waits for the end of the run.",
    "BACKTEST_NOT_ENDED": "Cancel it first (`meshctl backtest cancel ID`), or wait.",
    "VENUE_NOT_FOUND": "`meshctl md venues` lists what there is.",
    "VENUE_WITHOUT_DATA": "`meshctl md venues --data` lists those with market data.",
    "VENUE_BROKEN": "`meshctl md venues NAME` says how. Mend or remove the plug-in.",
    "FEED_NOT_FOUND": "`meshctl md feeds` lists what there is; `meshctl md feed add` makes one.",
    "FEED_IN_USE": "`meshctl md subscriptions` lists them, `meshctl md unsubscribe` ends one.",
    "FEED_UNAVAILABLE": "Try again; `meshctl md feeds` shows the cause.",
    "SUBSCRIPTION_NOT_FOUND": "`meshctl md subscriptions` and `md feeds` list what there is.",
    "CHANNEL_INVALID": "`meshctl md instruments FEED` lists the instruments of a feed.",
    "CHANNEL_NOT_OPEN": "`meshctl md subscribe FEED INSTRUMENT:deltas` opens the book.",
    "INSTRUMENT_NOT_AT_VENUE": "`meshctl md instruments FEED TEXT` finds what there is.",
    "NOT_A_REPLAY": "`meshctl md feeds` shows the venue of each feed.",
    "HISTORY_JOB_NOT_FOUND": "`meshctl md jobs` lists what there is.",
    "TRADER_NOT_FOUND": "`meshctl trader ls` lists what there is.",
    "TRADER_EXISTS": "Choose another id, or `meshctl trader update -f FILE`.",
    "TRADER_RUNNING": "`meshctl trader stop ID` first.",
    "TRADER_NOT_RUNNING": "`meshctl trader start ID` first; `meshctl trader get ID` says why it "
    "does not run.",
    "TRADER_HALTED": "`meshctl halt ls` lists the halts in force; `meshctl halt reset` ends one.",
    "TRADER_NOT_FLAT": "`meshctl halt flatten --trader ID` first, or --force.",
    "TRADER_STRATEGY_NOT_FOUND": "`meshctl trader get ID` lists its strategies.",
    "TRADER_FAILED": "`meshctl trader log ID` says why; mend it and `meshctl trader start ID`.",
    "TRADER_DIED": "`meshctl trader log ID` says why.",
    "TRADER_UNRESPONSIVE": "`meshctl trader get ID` and `meshctl trader log ID` say how it is.",
    "ORDER_NOT_FOUND": "`meshctl order list TRADER` lists what there is.",
    "ORDER_CLOSED": "`meshctl order get TRADER ORDER` says how it ended.",
    "ORDER_DENIED": "`meshctl order preview` says what would pass.",
    "POSITION_NOT_FOUND": "`meshctl order positions TRADER` lists the open ones.",
    "HALT_NOT_FOUND": "`meshctl halt ls` lists those in force.",
    "NOT_FLAT": "Close what is left at the venue, or `meshctl halt flatten` again when it can be.",
    "CREDENTIAL_NOT_FOUND": "`meshctl credential ls` lists what there is.",
    "CREDENTIAL_EXISTS": "`meshctl credential rotate ID`, or choose another id.",
    "CREDENTIAL_EXPIRED": "`meshctl credential rotate ID`.",
    "CREDENTIAL_IN_USE": "`meshctl trader update` or `trader rm` that trader first.",
    "LATCH_UNKNOWN": "Set MESH_LATCH_URL, or latch_url in the profile; `make run` writes it.",
    "RATE_LIMITED": "Wait a moment and repeat.",
    "SERVICE_UNAVAILABLE": "It may be starting: repeat in a moment.",
    "UNKNOWN_METHOD": "meshctl and the mesh differ in version: `meshctl info`.",
}


def hint(error: MeshClientError) -> str:
    """Return what to do about an error; empty when nothing is known."""
    return _HINTS.get(error.reason) or error.remedy
