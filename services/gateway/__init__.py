"""The gateway: a small auth service, and the configuration of Envoy in front of everything."""
