"""What makes an update true."""
