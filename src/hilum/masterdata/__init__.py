"""Crosswalks with an owner and effective dates, and the stewardship that keeps them true."""
