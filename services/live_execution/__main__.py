"""Entry point."""

from services.live_execution.main import main

main()
