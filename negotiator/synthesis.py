"""From a document and schemas to a candidate routine (being written)."""
