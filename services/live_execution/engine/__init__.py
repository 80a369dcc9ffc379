"""The engine of a trader: the only code of live execution that imports Nautilus."""
