"""The status listener: the ways to show what the watch has seen."""
