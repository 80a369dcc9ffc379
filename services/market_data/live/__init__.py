"""The live half of the service: feeds, subscriptions, streams. Imports no Nautilus."""
