"""Small bots, as users would write them: the README's recipes in full, run by the tests."""
