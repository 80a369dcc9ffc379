"""The analyzer that keeps its records in lists says what stock Nautilus says."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from unit.backtest.trades import READ_AT, analysed


def test_every_figure_is_that_of_stock_nautilus() -> None:
    """After each look and a reset, series and statistics are equal to the last bit."""
    spawn = multiprocessing.get_context("spawn")  # what is replaced stays so in its process
    with ProcessPoolExecutor(1, mp_context=spawn) as apart:
        ours = apart.submit(analysed, installed=True).result()
    stock = analysed(installed=False)
    assert len(stock) == len(READ_AT)
    assert ours == stock
