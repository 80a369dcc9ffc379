"""Python client of nautilus-mesh. Light: it imports no nautilus_trader and no service."""
