"""The web pages for people: rendered by the server, read without script."""
