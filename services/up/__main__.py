"""``python -m services.up [--once]``."""

from services.up.main import main

main()
