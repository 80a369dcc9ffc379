"""Entry point of the API."""

from services.backtest.main import main

main()
