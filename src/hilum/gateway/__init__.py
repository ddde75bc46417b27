"""The door for programs: every published operation of the estate, behind identity, policy, limits and contracts."""
