"""The terminal: every command of hilum."""
