"""The only part that imports Nautilus."""
