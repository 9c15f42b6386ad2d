"""Pages for people: those that are written, those made from the code, and the site of both."""
