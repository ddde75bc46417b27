"""The nouns of the business, pure: identifiers with their authority, money, shelves, prices, journals."""
