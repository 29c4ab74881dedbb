"""
Fuzzing: whatever comes, yallmp bears it.

Two ways.  *Parsers* get bytes that an instrumented run grows from small seeds (atheris, libFuzzer):
each target is a function of bytes that raises nothing, whatever they are, and holds a parser to
a property: the same however the bytes are cut, the same as the slow way, there and back again.
*Our own endpoints* get what their description allows, and what it does not (schemathesis),
over sockets, from a process as a user starts it.

The targets need neither: the test suite gives them their seeds and what hypothesis
makes of them (``tests/test_fuzz.py``).
"""
