"""HL7 v2 messages: read lazily, addressed by path, acknowledged as chapter 2 says."""
