"""One exchange at a time over requests, each of which can be stopped."""
