"""How each kind of system is spoken to: one folder for each."""
