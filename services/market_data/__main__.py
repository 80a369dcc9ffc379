"""Entry point."""

from services.market_data.main import main

main()
