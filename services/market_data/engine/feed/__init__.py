"""The process of one feed: a data-only Nautilus node behind frames."""
