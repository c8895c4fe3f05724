"""What the owner said, and what is said back."""
