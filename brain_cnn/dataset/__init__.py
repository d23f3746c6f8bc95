"""A folder, ZIP or link -> labelled images without leaks.

`locate` finds and unpacks, `index` lists and reads, `copies` groups what is the same picture,
`splits` keeps groups whole, `report` prints what was found before anything is trained.
"""
