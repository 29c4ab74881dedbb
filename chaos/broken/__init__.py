"""
Proxies with one thing broken, to see that the catalogue finds it.

A catalogue that everything passes shows nothing.  ``python -m chaos broken`` starts the real
yallmp through :mod:`chaos.broken.__main__`, which replaces one part of it
(:mod:`chaos.broken.builds`), and runs the items that must fail then; they must pass on the
proxy as it is (:mod:`chaos.broken.proof`).
"""
