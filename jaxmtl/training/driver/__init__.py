"""The host's side of many runs: chunks, progress, checkpoints, devices."""
