"""Networks of one library each; ``as_network`` chooses."""
