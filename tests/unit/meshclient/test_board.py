"""The live table: from items to rows, and from rows to text."""

import json
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.marketdata_pb2 import (
    DATA_KIND_BAR,
    DATA_KIND_FUNDING_RATE,
    DATA_KIND_ORDER_BOOK_DELTA,
    DATA_KIND_TRADE_TICK,
)
from meshclient.batches import Batch
from meshclient.channels import channel_text, channels
from meshclient.cli.board import Board, gap_text
from meshclient.cli.board_view import BoardView, age_text, note_line, plain_line
from meshclient.cli.ladder import bar, ladder
from meshclient.cli.live import json_line
from meshclient.cli.screen import Screen
from meshclient.errors import MeshClientError
from unit.meshclient.live_server import EURUSD, item, quote, quotes


def _drawn(renderable: object, width: int = 100) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=False).print(renderable)
    return out.getvalue()


def test_mc_15_prices_go_up_and_down() -> None:
    """MC-15: a cell knows its direction and when it changed; equal values change nothing."""
    board = Board()
    board.take(quote("1.10", "1.12"), 1.0)
    assert board.rows()[0].bid.direction == 0
    board.take(quote("1.11", "1.12"), 2.0)
    board.take(quote("1.11", "1.115"), 3.0)
    row = board.rows()[0]
    assert (row.bid.direction, row.bid.changed) == (1, 2.0)
    assert (row.ask.direction, row.ask.changed) == (-1, 3.0)
    assert (row.age(5.5), row.name) == (2.5, "EUR/USD.SIM")


def test_mc_15_kinds_share_the_row_of_their_instrument() -> None:
    """MC-15: quotes, trades and book are one row; bars, marks and funding have their own."""
    board = Board()
    board.take(quote("1.1", "1.2"), 1.0)
    trade = pb.Channel(kind=DATA_KIND_TRADE_TICK, instrument_id="EUR/USD.SIM")
    board.take(pb.MarketDataUpdate(channel=trade, trade=pb.TradeTick(price="1.15")), 1.0)
    bars = pb.Channel(kind=DATA_KIND_BAR, bar_type="EUR/USD.SIM-1-MINUTE-BID-EXTERNAL")
    board.take(pb.MarketDataUpdate(channel=bars, bar=pb.Bar(close="1.3")), 1.0)
    funding = pb.Channel(kind=DATA_KIND_FUNDING_RATE, instrument_id="EUR/USD.SIM")
    rate = pb.FundingRateUpdate(rate="0.0001")
    board.take(pb.MarketDataUpdate(channel=funding, funding_rate=rate), 1.0)
    assert {row.name: row.prices() for row in board.rows()} == {
        "EUR/USD.SIM": ("1.1", "1.2", "1.15"),
        "EUR/USD.SIM-1-MINUTE-BID-EXTERNAL": ("", "", "1.3"),
        "EUR/USD.SIM funding": ("", "", "0.0001"),
    }


def test_mc_15_a_batch_shows_its_last_row() -> None:
    """MC-15: of columns the newest row is shown, and all rows are counted."""
    board = Board()
    board.take(Batch(quotes((110000, 110002), (110001, 110003))), 1.0)
    row = board.rows()[0]
    assert row.prices() == ("1.10001", "1.10003", "")
    assert row.rate(1.0) == pytest.approx(2 / 3)


def test_mc_15_rates_are_the_services_own() -> None:
    """MC-15: a conflated stream is not counted by what came, but by what the feed received."""
    board = Board()
    board.count([item(pb.ITEM_STATE_LIVE, rows=1_000)], 10.0)
    board.count([item(pb.ITEM_STATE_LIVE, rows=3_000)], 12.0)
    assert board.rows()[0].rate(12.0) == 1_000
    board.count([item(pb.ITEM_STATE_LIVE, rows=5)], 14.0)  # the feed has started anew
    assert board.rows()[0].rate(14.0) == 1_000


def test_mc_15_a_snapshot_is_no_news() -> None:
    """MC-15: the state after a gap makes an old price no younger."""
    board = Board()
    board.take(quote("1.1", "1.2"), 1.0)
    same = pb.MarketDataSnapshot(item=item(pb.ITEM_STATE_STALE), latest=quote("1.1", "1.2"))
    board.take(same, 9.0)
    assert board.rows()[0].age(9.0) == 8.0


def test_mc_15_what_happens_is_told_once() -> None:
    """MC-15: a failed item, staleness, its end and gaps are lines of their own."""
    board = Board()
    told = [
        board.take(each, 1.0)
        for each in (
            pb.MarketDataSnapshot(item=item(pb.ITEM_STATE_PENDING)),
            item(pb.ITEM_STATE_LIVE),
            item(pb.ITEM_STATE_STALE, message="the venue is away"),
            item(pb.ITEM_STATE_LIVE),
            item(pb.ITEM_STATE_FAILED, reason="VENUE_REFUSED", message="no"),
            pb.FeedGap(cause=pb.GAP_CAUSE_SLOW_READER),
        )
    ]
    assert [note and (note.style, note.text) for note in told] == [
        None,
        None,
        ("gap", "stale: the venue is away"),
        ("mended", "live again"),
        ("failed", "EUR/USD.SIM:quotes  VENUE_REFUSED: no"),
        ("gap", "gap: slow reader"),
    ]


def test_mc_15_changes_of_a_book_are_not_shown_as_its_best_price() -> None:
    """MC-15: after single changes the best prices are not known, so none are shown."""
    board = Board()
    book = pb.Channel(kind=DATA_KIND_ORDER_BOOK_DELTA, instrument_id="B.X")
    best = pb.OrderBook(bids=[pb.BookLevel(price="9")], asks=[pb.BookLevel(price="10")])
    board.take(pb.MarketDataUpdate(channel=book, order_book=best), 1.0)
    assert board.rows()[0].prices() == ("9", "10", "")
    board.take(pb.MarketDataUpdate(channel=book, delta=pb.OrderBookDelta(price="9")), 1.0)
    assert board.rows()[0].prices() == ("", "", "")


def test_mc_15_complete_means_data_or_failure() -> None:
    """MC-15: `--once` waits for each channel's first data or its refusal."""
    board, other = Board(), pb.Channel(kind=DATA_KIND_TRADE_TICK, instrument_id="B.X")
    board.take(pb.MarketDataSnapshot(item=item(pb.ITEM_STATE_LIVE)), 1.0)
    assert not board.complete([EURUSD])
    board.take(quote("1", "2"), 1.0)
    assert board.complete([EURUSD])
    assert not board.complete([EURUSD, other])
    board.take(pb.SubscriptionItem(channel=other, state=pb.ITEM_STATE_FAILED), 1.0)
    assert board.complete([EURUSD, other])


def test_mc_15_the_picture_fits_its_room() -> None:
    """MC-15: a table of many rows is cut to the window and says how many are missing."""
    board = Board()
    for number in range(50):
        update = quote("1", "2", second=1_700_000_000)
        update.channel.instrument_id = f"I{number}.SIM"
        board.take(update, 1.0)
    drawn = _drawn(BoardView("feed").picture(board, 1.0, 20))
    assert len(drawn.splitlines()) <= 20
    assert "38 more" in drawn
    assert "2023-11-14 22:13:20.000" in drawn


def test_mc_15_lines_for_pipes_and_programs() -> None:
    """MC-15: without a terminal a row is a line; with --json an item is what REST gives."""
    board = Board()
    board.take(quote("1.10", "1.12", second=1), 1.0)
    line = plain_line(board.rows()[0], board.event_time, 20)
    assert line == "1970-01-01 00:00:01.000  EUR/USD.SIM           bid 1.10  ask 1.12"
    told = json.loads(json_line(quote("1.10", "1.12", second=1)))
    assert told["update"]["quote"]["bid_price"] == "1.10"
    assert told["update"]["event_time"] == "1970-01-01T00:00:01Z"


def test_mc_15_zeros_that_nothing_needs_are_not_shown() -> None:
    """MC-15: some venues send eight decimals whatever the step; what was needed once stays."""
    board = Board()
    board.take(quote("1.10000000", "1.10500000"), 1.0)
    row = board.rows()[0]
    assert (row.shown("bid"), row.shown("ask"), row.shown("last")) == ("1.100", "1.105", "")
    board.take(quote("1.00000000", "2.00000000"), 2.0)
    assert (row.shown("bid"), row.shown("ask")) == ("1.000", "2.000")


def test_mc_15_a_narrow_window_loses_what_tells_least() -> None:
    """MC-15: prices are never cut; names are, and then rates and ages go."""
    board = Board()
    update = quote("50000.12345678", "50000.12345679")
    update.channel.instrument_id = "A-VERY-LONG-NAME-OF-AN-INSTRUMENT.SIM"
    board.take(update, 1.0)
    drawn = {
        width: _drawn(BoardView("f").picture(board, 1.0, 20, width), width) for width in (60, 120)
    }
    for text in drawn.values():
        assert "50000.12345678" in text
    assert "A-VERY-LONG-NAME-OF-AN-…" in drawn[60]
    assert "age" in drawn[120]
    assert "age" not in drawn[60]


def test_mc_15_gaps_in_words() -> None:
    """MC-15: a gap says its cause, its channel and how long it is."""
    gap = pb.FeedGap(channel=EURUSD, cause=pb.GAP_CAUSE_VENUE_DISCONNECTED)
    getattr(gap, "from").FromSeconds(10)
    gap.to.FromMilliseconds(12_500)
    assert gap_text(gap) == "gap in EUR/USD.SIM:quotes: venue disconnected, 2.5 s"
    note = Board().take(gap, 1.0)
    assert note is not None
    assert "venue disconnected" in note_line(note).plain
    assert [age_text(each) for each in (None, 0.4, 59.6, 600, 7200)] == [
        "–",
        "<1s",
        "60s",
        "10m",
        "2h",
    ]


def test_mc_15_a_screen_writes_each_line_in_place() -> None:
    """MC-15: a picture is painted over the last one in one write, without erasing what stays."""
    out = StringIO()
    console = Console(file=out, width=40, height=10, force_terminal=True)
    with Screen(console) as screen:
        screen.paint("one\nold")
        out.seek(0)
        out.truncate()
        screen.paint("one\ntwo", above="kept")
    painted = out.getvalue()
    assert "\x1b[2A" in painted
    assert "kept\x1b[K\none\x1b[K\ntwo\x1b[K\n\x1b[J" in painted
    assert "\x1b[2J" not in painted
    assert painted.endswith("\x1b[?25h")


def test_mc_16_a_ladder_heaps_sizes_up() -> None:
    """MC-16: asks stand over bids, the best next to the spread, bars grow outwards."""
    reply = rpc.GetOrderBookResponse(spread="0.2", state=pb.ITEM_STATE_STALE)
    reply.order_book.asks.extend(pb.BookLevel(price=p, size="1.5") for p in ("10.1", "10.2"))
    reply.order_book.bids.extend(pb.BookLevel(price=p, size="2") for p in ("9.9", "9.8"))
    lines = [line.split() for line in _drawn(ladder("B.X", reply)).splitlines()]
    assert [line[0] for line in lines[2:]] == ["10.2", "10.1", "↕", "9.9", "9.8"]
    assert lines[2][2] == "3.0"
    assert "stale" in lines[0][1:] or "stale:" in lines[0]
    assert _drawn(ladder("B.X", rpc.GetOrderBookResponse())).count("one side is empty") == 1


def test_mc_16_bars_are_exact_to_an_eighth() -> None:
    """MC-16: a bar is as long as its part of the whole."""
    assert bar(Decimal(1), Decimal(1)) == "█" * 24
    assert bar(Decimal(1), Decimal(48)) == "▌"
    assert bar(Decimal(0), Decimal(5)) == ""


def test_mc_17_channels_in_words() -> None:
    """MC-17: an instrument with kinds, a bar type, each once; and back to words."""
    found = channels("B/U:X.V:quotes,trades", "B.V-1-MINUTE-LAST-EXTERNAL", "B/U:X.V:quotes")
    assert [channel_text(each) for each in found] == [
        *("B/U:X.V:quotes", "B/U:X.V:trades", "B.V-1-MINUTE-LAST-EXTERNAL"),
    ]
    assert channels(found[0]) == [found[0]]


@pytest.mark.parametrize("text", ["B.V", "B.V:", "B.V:ticks", ":quotes", "B.V:bars", ""])
def test_mc_17_what_is_no_channel_is_told_with_the_right_form(text: str) -> None:
    """MC-17: the error shows both forms and all kinds."""
    with pytest.raises(MeshClientError, match=r"BTCUSDT.BINANCE:quotes.*funding-rates"):
        channels(text)
