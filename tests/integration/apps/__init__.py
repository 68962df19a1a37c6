"""Small bots, as users would write them: the recipes of docs/ in full, run by the tests."""
