"""What is found before anything is published."""
