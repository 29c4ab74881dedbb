"""
yallmp, an LLM proxy: one address for many models, and the next backend when one fails.

This is the map.  ``docs/architecture.md`` tells how a request goes through it; a module
imports from its own layer or one further down in this list, never upwards
(``tests/test_layering.py``).

**Started by:**

- ``__main__``: ``yallmp`` and ``python -m yallmp``, and which command is meant
- :mod:`options`: the command line; loads the configuration, not the reactor
- :mod:`tap`: the only place where the parts meet

**The process and its commands:**

- :mod:`daemon`: what starts before what, and how it stops
- :mod:`files`: the configuration, ``.env``, keys, certificates
- :mod:`check`: what a configuration means
- :mod:`replay`: sends a logged request again

**What is served:**

- :mod:`front`: the root; ids, headers of ours, the way to the next two
- :mod:`api`: ``/v1/…`` and health, in Klein
- :mod:`admin`: ``/admin/…``, in Klein
- :mod:`persistence`: keeps registered models over restarts

**One request:**

- :mod:`forwarding`: its route, its attempts, its answer
- :mod:`attempts`: one try of one backend
- :mod:`relay`: a streamed answer on its way, with backpressure and time
- :mod:`observers`: what becomes of its events: logs and lines

**What touches the world, each one thing:**

- clients: :mod:`channel` (HTTP, limits), :mod:`arrivals` (a request before
  anything is known of it), :mod:`visits` (who asks), :mod:`downstream` (the
  answer on its way out), :mod:`answers` (answers of our own),
  :mod:`listening` (whether the address is free)
- backends: :mod:`upstream` (one request), :mod:`bodies` (what comes back),
  :mod:`wires` (connections), :mod:`certificates` (TLS), :mod:`names`
  (DNS), :mod:`slots` (``max_in_flight``), :mod:`mock` (``mock_response``),
  :mod:`report` (what an attempt tells of itself)
- records: :mod:`recorder` (hands them over), :mod:`recorder_process` (the
  second process, seen from the first), :mod:`recorder_child` (the second process),
  :mod:`record_files`, :mod:`partfile` (the files in it),
  :mod:`losses` (what could not be kept)
- :mod:`daemonlog`: the daemon's own log
- :mod:`descriptors`: how many connections and files may be open
- :mod:`playback`: sends and shows, for ``replay``

**How backends speak** (pure): :mod:`api_types`, the table of dialects, and OpenAI's:
:mod:`api_types.openai`, :mod:`api_types.openai_whole` (whole answers),
:mod:`api_types.openai_streams`, :mod:`api_types.openai_shapes`.
:mod:`interfaces` says what may have a second implementation.

**Decisions and values** (pure: no Twisted, no clock, no files):

- failover: :mod:`core.verdicts` (the decision table), :mod:`core.problems`
  and :mod:`core.told` (what went wrong), :mod:`core.routing`,
  :mod:`core.gate` (what of a stream may go on), :mod:`core.replies` (what
  the client is told)
- requests and answers: :mod:`core.asked`, :mod:`core.call`,
  :mod:`core.jsonbody`, :mod:`core.headers`, :mod:`core.sse`,
  :mod:`core.inflate`
- who may do what: :mod:`core.access`, :mod:`core.visit`,
  :mod:`core.addresses`, :mod:`core.failures`
- what is configured: :mod:`core.settings` and :mod:`core.backend` (the
  values), :mod:`core.catalog` (names), :mod:`core.registry` (what is in
  force now), :mod:`core.registration`
- reading the file: :mod:`core.config`, :mod:`core.schema` (every setting),
  :mod:`core.sections`, :mod:`core.entries`, :mod:`core.destination`,
  :mod:`core.apikeys`, :mod:`core.fallbacklists`,
  :mod:`core.references`, :mod:`core.litellm`, :mod:`core.providers`,
  :mod:`core.kinds`, :mod:`core.wirekinds`, :mod:`core.reading`,
  :mod:`core.environment`, :mod:`core.yamltree`, :mod:`core.findings`
- records: :mod:`core.exchange` (the events), :mod:`core.record`,
  :mod:`core.recorded`, :mod:`core.recalled`, :mod:`core.recordframe`
  (the format), :mod:`core.backlog`, :mod:`core.frames` (on their way),
  :mod:`core.retention`, :mod:`core.resend` and :mod:`core.curl`
  (replay)
- secrets: :mod:`core.masking`, :mod:`core.maskers`,
  :mod:`core.secrets`, :mod:`core.secretnames`, :mod:`core.escapes`
- :mod:`core.errors`: every error of ours, its status and its code
"""

__version__ = "0.1.0"
