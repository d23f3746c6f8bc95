"""What a template or a schema shows: values in, words and rows out.

May import `inference`, `render` and `web.settings`; never a view.
"""
