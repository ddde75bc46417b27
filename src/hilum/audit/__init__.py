"""The tamper-evident record: a Merkle log of every state change, its signed heads, proofs and exports."""
