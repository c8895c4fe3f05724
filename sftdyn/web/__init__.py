"""Octets and sockets: connections, TLS, requests and replies; no DNS."""
