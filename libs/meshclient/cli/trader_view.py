"""A trader in words and tables."""

from mesh.execution.v1 import trader_pb2 as pb
from mesh.strategy.v1.strategy_pb2 import ComponentKind
from meshclient import words
from meshclient.cli.output import Output, moment


def state_name(state: int) -> str:
    """Return a trader's state, small."""
    return words.name(pb.TraderState, state).lower()


def standing(trader: pb.Trader) -> str:
    """Return the state of a trader and, in short, what is amiss."""
    state = state_name(trader.state)
    if trader.replay_ended and trader.state == pb.TRADER_STATE_RUNNING:
        state += ", its data is played"
    return f"{state}: {trader.reason}" if trader.reason else state


def state_line(trader: pb.Trader) -> str:
    """Return state, reason and message of a trader in a line."""
    told = " ".join(filter(None, (trader.reason, trader.message)))
    return f"{trader.trader_id} {state_name(trader.state)}" + (f": {told}" if told else "")


def account_text(venue: pb.TraderVenue) -> str:
    """Return where orders for a venue go: ``SIM (sandbox)``, or the adapter and credential."""
    if venue.HasField("sandbox"):
        return f"{venue.venue} (sandbox)"
    credential = f", {venue.live.credential_id}" if venue.live.credential_id else ""
    return f"{venue.venue} (LIVE {venue.live.adapter}{credential})"


def data_text(data: pb.DataSource) -> str:
    """Return where data comes from, in a few words."""
    match data.WhichOneof("source"):
        case "mesh":
            return f"feed {data.mesh.feed_id}"
        case "venue":
            return "venue " + " ".join(each.adapter for each in data.venue.clients)
        case "replay":
            speed = f" ×{data.replay.speed:g}" if data.replay.speed else ""
            return f"replay{speed}"
    return ""


def show_trader(out: Output, trader: pb.Trader) -> None:
    """Print a trader whole."""
    if out.as_json:
        out.json(trader)
        return
    process = trader.process
    out.fields(
        [
            ("trader", trader.trader_id),
            ("state", standing(trader)),
            ("since (UTC)", moment(trader.state_time)),
            ("because", trader.message),
            *(("may not", each) for each in trader.restrictions),
            ("halts", " ".join(each[:8] for each in trader.halt_ids)),
            ("accounts", " ".join(account_text(each) for each in trader.spec.venues)),
            ("data", data_text(trader.spec.data)),
            ("data time", moment(trader.data_time)),
            ("process", f"{process.pid} on {process.host}" if process.pid else ""),
            ("restarts", process.restarts or ""),
            ("facts", trader.fact_number or ""),
            ("labels", " ".join(f"{key}={value}" for key, value in sorted(trader.labels.items()))),
        ]
    )
    if trader.spec.strategies:
        _strategies(out, trader)


def _strategies(out: Output, trader: pb.Trader) -> None:
    status = {each.order_id_tag: each for each in trader.strategies}
    rows = []
    for each in trader.spec.strategies:
        now = status.get(each.order_id_tag, pb.TraderStrategyStatus())
        kind = words.name(ComponentKind, now.kind).lower()
        rows.append(
            (
                each.order_id_tag,
                f"{each.strategy_id}@{each.version[:8]}",
                now.instance_id,
                words.name(pb.StrategyState, now.state).lower() or "pending",
                moment(now.saved_time)[11:],
                " ".join(filter(None, (now.reason, now.message))) or kind,
            )
        )
    out.table(
        ["tag", "code", "instance", "state", "saved (UTC)", ""], rows, whole=["tag", "instance"]
    )
