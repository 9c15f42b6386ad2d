"""Pages of HTML for people, each a file that needs nothing else: skeleton, tables, charts."""
