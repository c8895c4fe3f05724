"""What is raised for input that cannot be used."""


class Mistake(ValueError):
    """Somebody's input cannot be used. The message says why, and what to write instead; it never quotes the input."""
