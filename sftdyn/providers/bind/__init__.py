"""BIND, or any primary that takes RFC 2136 updates, through one long-lived nsupdate."""
