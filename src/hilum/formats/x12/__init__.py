"""X12 interchanges: tokenised, walked by declarative set tables, checked to SNIP type 4, written and acknowledged."""
