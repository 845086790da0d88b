"""The dashboard's looks: templates, charts, numbers in words, static files.

Rule: no I/O but reading its own files once, no ledger, no gateway: what a page shows is handed over as plain
data by edge/pages/, and the same data is the page's JSON twin.
"""
