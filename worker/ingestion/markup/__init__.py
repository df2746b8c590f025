"""Markdown and MDX as each generator reads them, to sections: headings with their anchors, and blocks of text."""
