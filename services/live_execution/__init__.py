"""The live-execution service: traders in processes of their own, their orders, and the kill switch."""
