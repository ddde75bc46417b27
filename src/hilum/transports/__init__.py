"""How bytes arrive and leave: one folder for each protocol."""
