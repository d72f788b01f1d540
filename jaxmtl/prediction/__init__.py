"""One choice: what was trained, saved, read again, and asked."""
