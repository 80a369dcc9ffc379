"""Running Nautilus' BacktestEngine in the present process. Decides nothing."""
