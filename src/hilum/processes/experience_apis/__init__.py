"""Experience APIs: what one kind of user needs on one screen, made of the same systems, processes and policies."""
