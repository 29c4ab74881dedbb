"""
How requests and answers are put, in each dialect and in none.

``conversation``, ``answer`` and ``growing`` are the neutral model, ``losses`` what does not fit.
Each dialect has one translator between itself and that model, an
:class:`yallmp.interfaces.IDialect`; nothing here knows of backends, and nothing raises for
anything that a backend sent.

What the servers of local models pass on as plain text is read by ``parsing``, with ``tagged`` (text
with tags in it, as it flows) and ``callblocks`` (what stands between those of a call).
"""
