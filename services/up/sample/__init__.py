"""The sample: synthetic market data of every kind, and the strategies that ship."""
