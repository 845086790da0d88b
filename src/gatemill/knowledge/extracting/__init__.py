"""Files into texts. Rule: one file, one format; what cannot be read says why, in words for its owner.

`read` of each module takes the bytes of a file and answers its text.
"""
