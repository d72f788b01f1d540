"""The study's method and what it has to beat, on one schedule."""
