"""The status listener: what was seen since the start, and the ways to show it."""
