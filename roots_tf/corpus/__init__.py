"""Text in, text out: reads files of any size, cleans, filters and de-duplicates documents."""
