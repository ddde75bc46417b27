"""The business processes that ship with Hilum; an estate configures them."""
