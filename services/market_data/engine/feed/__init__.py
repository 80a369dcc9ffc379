"""The process of one feed: a venue's data client of Nautilus, read by the service in frames.

``start`` → ``main`` puts together: ``node`` (Nautilus), ``connection`` (connect, watch, reconnect),
``channels`` (what is open), ``capture`` → ``columns`` → ``link`` (ticks → batches → socket), and
``commands`` with ``books``, ``instruments`` and ``requests``. ``hooks`` and ``troubles`` find out
what an adapter does not say; ``adapters`` mends single ones.
"""
