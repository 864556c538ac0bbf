"""Solutions of the exercises on the pages of operations, one family a file; tests/test_book.py checks each."""
