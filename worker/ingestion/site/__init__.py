"""What is published where: which files of a content root are pages, and what their site makes of them."""
