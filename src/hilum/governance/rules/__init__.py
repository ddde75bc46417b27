"""What an estate must fulfil, one file for each noun; every rule yields findings and changes nothing."""
