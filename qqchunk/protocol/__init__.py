"""What is said to the platform, what it answers, and what to do next; pure."""
