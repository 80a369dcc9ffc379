"""Entry point."""

from services.gateway.main import main

main()
