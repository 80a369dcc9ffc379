"""The process of a trader."""
