"""System APIs: what the ERP, billing and the inventory platform hold, asked and told by one governed door."""
