"""The estate: loaded, checked and catalogued; what is not governed is refused."""
