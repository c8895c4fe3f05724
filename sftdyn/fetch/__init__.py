"""The one outgoing HTTP(S) client: the route to a server, the fetcher that asks it, and what its octets say."""
