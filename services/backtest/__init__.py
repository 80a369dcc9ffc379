"""The backtest service: an API that keeps runs, and workers that run them."""
