"""The engine in virtual time: clients, reloads, strangers and every trouble, all of one seed; then what must hold."""
