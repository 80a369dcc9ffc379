"""Live data that is kept: journal, then catalog."""
