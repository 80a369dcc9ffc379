"""``python -m services.backtest.worker``."""

from services.backtest.worker.main import main

main()
