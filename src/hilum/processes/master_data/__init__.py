"""Master data from its owners: what they tell becomes records, whichever way it comes."""
