"""What keeps an estate governed: it is loaded, checked and catalogued here before anything of it runs."""
