"""What a trader's process is made of beside Nautilus: journal, lease, latch, shipping, commands."""
