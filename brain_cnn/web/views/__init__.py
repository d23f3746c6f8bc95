"""What a person or a program can ask for: one blueprint a file.

May import everything in `web`; nothing imports a view but `web.app`.
"""
