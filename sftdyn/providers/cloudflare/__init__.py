"""Cloudflare as a provider: its API v4 from one list of records to one batch of changes."""
