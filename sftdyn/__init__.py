"""sftdyn: a dynamic DNS server you own. A secret URL updates your own BIND zone through nsupdate."""

__version__ = "1.1"
