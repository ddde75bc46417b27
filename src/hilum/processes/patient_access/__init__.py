"""Registration and encounter to billing: accounts as they are told, coverage as payers answer, corrections and merges followed."""
