"""Other systems doing the same rows. Their programs run in environments of their own and import nothing of tacit."""
