"""Where names live: a provider makes an update true, and knows no HTTP server, no quota and no client."""
