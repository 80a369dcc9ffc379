"""What happens to a node on data time out of the ordinary: cases LS-10 to LS-19."""

from concurrent.futures.process import BrokenProcessPool

import pytest

from integration.nautilus import odd_nodes
from integration.nautilus.runs import apart, in_node
from integration.nautilus.witness import MINUTE, START

SECOND = 10**9


def test_ls10_a_strategy_added_later_is_on_data_time() -> None:
    """LS-10: A strategy that a controller adds starts at the data's time, and its timers fire."""
    start, *fired = apart(odd_nodes.with_a_controller)
    added = START + 5 * MINUTE
    assert start == (0, added)
    times = [added + n * 10 * SECOND for n in range(1, 7)]  # "late" comes before "remove"
    assert fired == [(t, t) for t in times]


@pytest.mark.parametrize("where", ["tick", "shutdown", "timer"])
def test_ls11_the_play_ends_where_a_handler_fails_or_asks(where: str) -> None:
    """LS-11: Nothing is delivered after the tick or timer that ends the node gracefully."""
    by_timer = sum(tick.ts_init <= START + MINUTE for tick in odd_nodes.CASE.data())
    ticks = by_timer if where == "timer" else 100
    assert apart(odd_nodes.with_a_failure, where, True) == (ticks, ticks)


def test_ls12_a_failing_handler_ends_the_process_where_it_is_not() -> None:
    """LS-12: Without a graceful shutdown the process ends at once, as a stock node's does."""
    with pytest.raises(BrokenProcessPool):
        apart(odd_nodes.with_a_failure, "tick", False)


def test_ls13_a_pause_holds_data_and_time() -> None:
    """LS-13: Nothing comes and time stands still in a pause; then all goes on as without it."""
    by_pause, in_all, stood, log = apart(odd_nodes.paused_and_resumed)
    assert (by_pause, in_all, stood) == (1_000, odd_nodes.CASE.count, True)
    assert log == apart(in_node, odd_nodes.CASE)


def test_ls14_seeking_back_is_a_new_node() -> None:
    """LS-14: A node made in the place of a stopped one, in one process, plays from the start."""
    half, whole = apart(odd_nodes.sought_back)
    assert 0 < len(half) < len(whole)
    assert whole[: len(half)] == half
    assert whole == apart(in_node, odd_nodes.CASE)


def test_ls15_data_waits_for_a_clients_command() -> None:
    """LS-15: A subscription made at a tick is done before the next tick comes."""
    subscribed_at, in_all = apart(odd_nodes.subscribing_while_played)
    assert (subscribed_at, in_all) == ([100], odd_nodes.CASE.count)


def test_ls16_a_node_that_does_not_start_is_said() -> None:
    """LS-16: The player of a node whose client does not connect is told so, by the wall's time."""
    assert "did not start" in apart(odd_nodes.that_does_not_start)


def test_ls17_a_stock_node_is_refused_with_the_remedy() -> None:
    """LS-17: A client in a stock TradingNode is told to make a DataTimeNode."""
    assert "DataTimeNode(config, start_ns)" in apart(odd_nodes.on_the_walls_time)


def test_ls18_there_is_one_player() -> None:
    """LS-18: A second source is refused while one is played."""
    assert "Merge the sources" in apart(odd_nodes.played_twice)


def test_ls19_messages_of_other_threads_are_handled_on_the_loops() -> None:
    """LS-19: A message sent by another thread is handled on the loop's thread, in its turn."""
    assert apart(odd_nodes.told_by_another_thread)
