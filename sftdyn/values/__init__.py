"""The values that travel between the rooms: frozen, checked, without sockets."""
