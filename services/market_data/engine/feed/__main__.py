"""Run the process of a feed: ``python -m services.market_data.engine.feed FD``."""

from services.market_data.engine.feed.start import main

main()
