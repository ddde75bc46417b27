"""Evidence packages: everything about one fact or one period in a file that an outsider verifies with the public key."""
