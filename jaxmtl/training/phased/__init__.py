"""The study's training: phases, streaks, and one compiled epoch."""
