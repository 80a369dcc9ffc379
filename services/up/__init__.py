"""The whole mesh on one machine."""
