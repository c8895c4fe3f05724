"""Every way in, and each of its answers."""
