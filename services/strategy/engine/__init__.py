"""Loading user code in a process of its own. Only ``child`` imports Nautilus."""
