"""The second readers of the code; a package of its own so that no installed one of the same name stands in its place."""
