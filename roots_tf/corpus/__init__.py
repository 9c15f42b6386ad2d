"""Text in, text out: read files of any size, clean documents, drop what is no use, part shards."""
