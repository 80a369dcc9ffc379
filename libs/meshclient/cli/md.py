"""``meshctl md``: venues, feeds and what they offer."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment
from meshclient.cli.runs import setting
from meshclient.cli.schema import config_fields, config_rows
from meshclient.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Live market data: feeds, subscriptions, replays.")
feed = typer.Typer(no_args_is_help=True, help="Make, remove and restart feeds.")
app.add_typer(feed, name="feed")

FeedId = Annotated[str, typer.Argument(help="Feed id, such as `binance`.", metavar="FEED")]


@command(app, "venues")
async def venues(
    shell: Shell,
    name: Annotated[str, typer.Argument(help="Show this one whole.", show_default=False)] = "",
    data: Annotated[bool, typer.Option("--data", help="Only those with market data.")] = False,
) -> None:
    """List the venues that the mesh can connect to; with NAME what that one needs."""
    if name:
        _venue(shell, await shell.mesh.feeds.venue(name.upper()))
        return
    found = await shell.mesh.feeds.venues(data=data)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.venue,
            "✓" if each.data else "",
            "✓" if each.execution else "",
            "✓" if each.available else "",
            _needs(each),
        )
        for each in found
    ]
    shell.out.table(["venue", "data", "orders", "here", "needs"], rows, whole=["venue"])
    shell.out.note("meshctl md venues NAME shows the fields of a feed's config and credentials")


def _needs(venue: rpc.Venue) -> str:
    """Return what keeps a venue from being used, or what it takes."""
    if not venue.available:
        return f"extra {venue.extra}" if venue.missing_packages else venue.problem
    secrets = [each for each in venue.credentials if each.required]
    return "credentials" if secrets else ""


def _venue(shell: Shell, venue: rpc.Venue) -> None:
    if shell.out.as_json:
        shell.out.json(venue)
        return
    shell.out.fields(
        [
            ("venue", venue.venue),
            ("market data", venue.data),
            ("orders", venue.execution),
            ("can be used here", venue.available),
            ("problem", venue.problem),
            ("extra", venue.extra and f"nautilus_trader[{venue.extra}]"),
            ("missing packages", " ".join(venue.missing_packages)),
            ("plug-in of", venue.plugin),
            *(("note", note) for note in venue.notes),
        ]
    )
    rows = [(c.field, " or ".join(c.environment), c.required) for c in venue.credentials]
    if rows:
        title = "\ncredentials, from the environment of the market-data service"
        shell.out.table(["field", "variable", "required"], rows, title=title, whole=["field"])
    if venue.config_schema:
        shell.out.table(
            ["field", "type", "default", "what"],
            _fields(json.loads(venue.config_schema)),
            title="\nconfig of a feed",
            whole=["field"],
        )


def _fields(schema: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and the first sentence about each field of a config."""
    described = config_fields(schema)
    return [
        (name, kind, "{…}" if default.startswith("{") else default, _sentence(described[name]))
        for name, kind, default in config_rows(schema, set(schema.get("required", ())))
    ]


def _sentence(field: dict[str, Any]) -> str:
    return str(field.get("description", "")).partition(". ")[0].rstrip(".")


@command(app, "feeds")
async def feeds(shell: Shell) -> None:
    """List the feeds with their states."""
    found = await shell.mesh.feeds.list()
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (each.feed_id, each.venue, _standing(each), each.channels, each.watchers, each.rows)
        for each in found
    ]
    shell.out.table(
        ["feed", "venue", "state", "channels", "watchers", "rows"],
        rows,
        right=["channels", "watchers", "rows"],
        whole=["feed"],
        empty="No feeds. `meshctl md feed add FEED VENUE` makes one.",
    )


def feed_state(state: int) -> str:
    """Return the name of a feed's state, small."""
    return pb.FeedState.Name(state).removeprefix("FEED_STATE_").lower()  # type: ignore[arg-type] # an open enum


def _standing(each: pb.Feed) -> str:
    told = feed_state(each.state)
    if place := replay_place(each.replay):
        told += f", {place}"
    return f"{told}: {each.reason} {each.message}".rstrip() if each.reason else told


def replay_place(replay: pb.ReplayStatus) -> str:
    """Return where a replay is, in a few words; empty before it was ever started."""
    if not replay.HasField("start"):
        return ""
    speed = f"×{replay.speed:g}" if replay.speed else "as fast as it can"
    how = "at its end" if replay.ended else "paused" if replay.paused else speed
    place = moment(replay.position) or moment(replay.start)
    return f"{place} {how}"


def show_feed(shell: Shell, each: pb.Feed) -> None:
    """Print a feed."""
    if shell.out.as_json:
        shell.out.json(each)
        return
    shell.out.fields(
        [
            ("feed", each.feed_id),
            ("venue", each.venue),
            ("state", feed_state(each.state)),
            ("because", f"{each.reason} {each.message}".strip()),
            ("replay", replay_place(each.replay)),
            ("config", each.config_json),
        ]
    )


@command(feed, "show")
async def feed_show(shell: Shell, feed_id: FeedId) -> None:
    """Show a feed."""
    show_feed(shell, await shell.mesh.feeds.get(feed_id))


@command(feed, "add")
async def feed_add(
    shell: Shell,
    feed_id: FeedId,
    venue: Annotated[str, typer.Argument(help="Venue, as `md venues` lists it.")],
    config: Annotated[
        str, typer.Option(help="Config of the adapter: JSON, or @FILE.", show_default=False)
    ] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Field of the config, NAME=VALUE.")
    ] = None,
) -> None:
    """Make a feed: a connection to a venue, or a replay of what is stored (venue REPLAY)."""
    values = _config(config)
    values.update(setting(each) for each in settings or [])
    show_feed(shell, await shell.mesh.feeds.create(feed_id, venue.upper(), values))


def _config(text: str) -> dict[str, Any]:
    try:
        source = Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
        values = json.loads(source or "{}")
    except OSError as error:
        raise UsageError(f"--config: {text[1:]}: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"--config is no JSON: {error}.") from None
    if not isinstance(values, dict):
        raise UsageError("--config must be a JSON object.")
    return values


@command(feed, "rm")
async def feed_remove(shell: Shell, feed_id: FeedId) -> None:
    """Remove a feed without subscriptions."""
    await shell.mesh.feeds.delete(feed_id)
    if shell.out.as_json:
        shell.out.json({"feed_id": feed_id})
    else:
        shell.out.say(f"{feed_id} removed")


@command(feed, "restart")
async def feed_restart(shell: Shell, feed_id: FeedId) -> None:
    """End a feed's process and start it anew; its readers are told the gap."""
    show_feed(shell, await shell.mesh.feeds.restart(feed_id))


@command(app, "instruments")
async def instruments(
    shell: Shell,
    feed_id: FeedId,
    text: Annotated[
        str, typer.Argument(help="Text that the id must hold.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List the instruments that a feed's venue offers."""
    found = await shell.mesh.feeds.instruments(feed_id, text, limit=limit)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (each.instrument_id, each.quote_currency, each.price_increment, each.size_increment)
        for each in found
    ]
    columns = ["instrument", "currency", "price step", "size step"]
    shell.out.table(columns, rows, whole=["instrument"], empty="The feed has no such instrument.")
    if len(found) == limit:
        shell.out.note(f"the first {limit}; name a part of the id, or --limit more")
