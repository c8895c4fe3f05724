"""The own addresses of this machine: where they come from, and when they are published."""
