"""What the owner said: the conf is read, checked and turned into values."""
