"""The pages that people open, a noun a file; their templates are beside them."""
