"""The hospital's other systems: real ones driven over the network, and simulated ones that say so in their name."""
