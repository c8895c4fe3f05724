"""The outgoing client, and servers for it."""
