"""The strategy service: strategies, actors and execution algorithms with immutable versions."""
