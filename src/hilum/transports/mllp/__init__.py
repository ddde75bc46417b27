"""HL7 over MLLP: the listener and the client."""
