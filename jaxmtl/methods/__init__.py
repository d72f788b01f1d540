"""What can be trained on rows of several tasks."""
