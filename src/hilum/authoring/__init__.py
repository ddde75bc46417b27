"""What the author of an integration imports: systems, contracts, mappings, feeds, flows, steps and the kinds of failure."""
