"""The page where people look: live counts, the work queue and the trace."""
