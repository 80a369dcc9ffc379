"""Stored data in one order of time, for replay in lockstep."""
