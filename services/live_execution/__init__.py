"""The live-execution service: traders in processes of their own, their orders, the kill switch."""
