"""What the book adds to Sphinx, one thing a file."""
