"""What meshkit knows of Nautilus: the one shared place, besides engines, that imports it."""
