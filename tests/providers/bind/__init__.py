"""Against a real BIND."""
