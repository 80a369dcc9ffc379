"""Adapters of the installed Nautilus and plug-ins: listed, their configs checked, built."""
