"""Uploaded files → tables with our columns, every row checked and every fault with its line."""
