"""One call of a user's: its arguments, its threads, its parts, its progress and its message."""
