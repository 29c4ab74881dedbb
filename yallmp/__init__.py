"""
yallmp, an LLM proxy: one address for many models, and the next backend when one fails.

This is the map.  ``docs/architecture.md`` tells how a request goes through it; a module
imports from its own layer or one further down in this list, never upwards
(``tests/test_layering.py``).

**Started by:**

- ``__main__``: ``yallmp`` and ``python -m yallmp``, and which command is meant
- :mod:`yallmp.options`: the command line; loads the configuration, not the reactor
- :mod:`yallmp.tap`: the only place where the parts meet
- :mod:`yallmp.fleet`: the same for several workers, each of which is a :mod:`yallmp.worker`
- :mod:`yallmp.drilling`: the same for ``drill``

**The process and its commands:**

- :mod:`yallmp.daemon`: what starts before what, and how it stops
- :mod:`yallmp.supervisor`: several of them, kept running; :mod:`yallmp.agreement`: what all of
  them are told; :mod:`yallmp.census`: what all of them counted; :mod:`yallmp.duty`: what one
  does when it is told to
- :mod:`yallmp.files`: the configuration, ``.env``, keys, certificates; :mod:`yallmp.source`:
  with the command line; :mod:`yallmp.rereading`: while the proxy runs
- :mod:`yallmp.check`: what a configuration means
- :mod:`yallmp.replay`: sends a logged request again
- :mod:`yallmp.drill`: rehearses failover, a package with a map of its own

**What is served:**

- :mod:`yallmp.front`: the root; ids, headers of ours, the way to the next two
- :mod:`yallmp.api`: ``/v1/…`` and health, in Klein
- :mod:`yallmp.admin`: ``/admin/…``, in Klein
- :mod:`yallmp.persistence`: keeps registered models over restarts
- :mod:`yallmp.reloads`: one at a time, whoever asks

**One request:**

- :mod:`yallmp.reading`: what its body asks for
- :mod:`yallmp.forwarding`: its route, its attempts, its answer
- :mod:`yallmp.course`: the attempts one after the other, and what they mean to the proxy
- :mod:`yallmp.tally`: what they mean to the backends
- :mod:`yallmp.tools`: what all of it works with
- :mod:`yallmp.asking`: how a backend is asked
- :mod:`yallmp.counted`: how many tokens it has, where none can be
- :mod:`yallmp.attempts`: one try of one backend, with its gate (:mod:`yallmp.gates`)
- :mod:`yallmp.examining`: large answers, looked at while it waits
- :mod:`yallmp.broken`: a stream that broke, and :mod:`yallmp.rescuing`: made whole
- :mod:`yallmp.endings`: the last words where there is no answer
- :mod:`yallmp.relay`: a streamed answer on its way, with backpressure and time
- :mod:`yallmp.observers`, :mod:`yallmp.stories` and :mod:`yallmp.accessline`: what becomes of
  its events; :mod:`yallmp.recording`: and how a reload changes that

**What touches the world, each one thing:**

- clients: :mod:`yallmp.site` and :mod:`yallmp.channel` (HTTP, limits), :mod:`yallmp.framing`
  (nothing doubtful), :mod:`yallmp.punctual` (in time), :mod:`yallmp.refusing` (how a refusal
  ends), :mod:`yallmp.crowd` (who has no room),
  :mod:`yallmp.unread` (who does not read), :mod:`yallmp.sweep` (one timer for all),
  :mod:`yallmp.inbound` and
  :mod:`yallmp.lazyrequest` (a request and its answer), :mod:`yallmp.bulk` (large bodies, from and
  to either side), :mod:`yallmp.arrivals` (a request before anything is known of it),
  :mod:`yallmp.shortcuts` (frequent paths of Klein's tree), :mod:`yallmp.downstream` (the answer on
  its way out), :mod:`yallmp.answers` (answers of our own), :mod:`yallmp.identity` (TLS),
  :mod:`yallmp.listening` (whether the address is free)
- backends: :mod:`yallmp.upstream` (one request), :mod:`yallmp.bodies` (what comes back),
  :mod:`yallmp.wires` (connections), :mod:`yallmp.wire` (an attempt's own),
  :mod:`yallmp.endpoints` (where they begin), :mod:`yallmp.tunnel` (proxies), :mod:`yallmp.lean`
  (an HTTP client, a package with a map of its own), :mod:`yallmp.twistedpool` (the same for
  Twisted's client), :mod:`yallmp.certificates` (TLS), :mod:`yallmp.names` (DNS),
  :mod:`yallmp.slots` (``max_in_flight``), :mod:`yallmp.mock` (``mock_response``),
  :mod:`yallmp.report` (what an attempt tells of itself), :mod:`yallmp.wholes` (answers that are
  no streams)
- records: :mod:`yallmp.recorder` (hands them over), :mod:`yallmp.recorder_process` (the second
  process, seen from the first),
  :mod:`yallmp.recorder_child` (the second process), :mod:`yallmp.record_files`,
  :mod:`yallmp.intake` (what it reads), :mod:`yallmp.partfile` (the files in it),
  :mod:`yallmp.losses` (what could not be kept)
- large bodies: :mod:`yallmp.clerk` (has them read), :mod:`yallmp.clerk_process` (a process that
  does, seen from here), :mod:`yallmp.clerk_child` (that process)
- other workers: :mod:`yallmp.worker_process` (one, seen from the supervisor),
  :mod:`yallmp.pulse` (whether it is there),
  :mod:`yallmp.siblings` (all of them, seen from one)
- metrics: :mod:`yallmp.metrics` (asked for), :mod:`yallmp.totals` (those of all processes),
  :mod:`yallmp.gauges` (what can be read off the parts), :mod:`yallmp.lag` (how late the reactor
  is), :mod:`yallmp.exposition` (as text)
- :mod:`yallmp.daemonlog`: the daemon's own log; :mod:`yallmp.logged` (services that write it),
  :mod:`yallmp.logfile` and :mod:`yallmp.outlet` (where it goes), :mod:`yallmp.gaps` (what it
  could not take)
- :mod:`yallmp.signals`: what SIGTERM, SIGINT and SIGHUP mean; :mod:`yallmp.systemd`: what
  systemd is told
- :mod:`yallmp.descriptors`: how many connections and files may be open
- :mod:`yallmp.garbage`: when Python's garbage collector runs
- :mod:`yallmp.lightreactor` and :mod:`yallmp.transports` (Linux only): the reactor that all of it
  runs on, and its connections; :mod:`yallmp.reactors` installs it
- :mod:`yallmp.playback`: sends and shows, for ``replay``

**How backends speak** (pure): :mod:`yallmp.api_types`, the table of dialects, and OpenAI's:
:mod:`yallmp.api_types.openai`, :mod:`yallmp.api_types.openai_glance` (whole answers,
checked), :mod:`yallmp.api_types.openai_whole` (whole answers, made of streams),
:mod:`yallmp.api_types.openai_streams`, :mod:`yallmp.api_types.openai_chunks` (what streams
mostly consist of), :mod:`yallmp.api_types.openai_shapes`,
:mod:`yallmp.api_types.openai_rescue` (an answer that goes on with another);
:mod:`yallmp.api_types.speaking` (which of them), :mod:`yallmp.api_types.translation` and
:mod:`yallmp.api_types.translated` (clients of another dialect);
:mod:`yallmp.api_types.parameters` (what the configuration sets in requests),
:mod:`yallmp.api_types.seals` (what another provider thought is left out of them).
:mod:`yallmp.api_types.anthropic` and :mod:`yallmp.api_types.anthropic_streams` are Messages.
:mod:`yallmp.interfaces` says what may have a second implementation.

**What is said, in any dialect** (pure): :mod:`yallmp.dialects`, a package with a map of its own.

**Decisions and values** (pure: no Twisted, no clock, no files):

- failover: :mod:`yallmp.core.verdicts` (the decision table), :mod:`yallmp.core.problems` and
  :mod:`yallmp.core.told` (what went wrong), :mod:`yallmp.core.lastword` (which of it is told),
  :mod:`yallmp.core.tableview` and :mod:`yallmp.core.tablewords` (the table as ``check`` shows it),
  :mod:`yallmp.core.routing`, :mod:`yallmp.core.breaker` (who rests),
  :mod:`yallmp.core.unspoken` (who does not understand), :mod:`yallmp.core.retries`
  (no storms), :mod:`yallmp.core.gate` (what of a stream may go on) and
  :mod:`yallmp.core.inspector` (what its events are),
  :mod:`yallmp.core.transcript` (what a client has had of it), :mod:`yallmp.core.rescue` and
  :mod:`yallmp.core.seam` (how another answer goes on with it), :mod:`yallmp.core.replies` and
  :mod:`yallmp.core.telling` (what the client is told), :mod:`yallmp.core.voice` (in which words)
- requests and answers: :mod:`yallmp.core.requesthead`, :mod:`yallmp.core.framing`,
  :mod:`yallmp.core.answerhead`,
  :mod:`yallmp.core.asked`, :mod:`yallmp.core.call`,
  :mod:`yallmp.core.jsonbody` (in the quick way), :mod:`yallmp.core.jsontext` (in the patient
  one), :mod:`yallmp.core.nesting`, :mod:`yallmp.core.search` (in long bodies),
  :mod:`yallmp.core.digits`, :mod:`yallmp.core.headers`,
  :mod:`yallmp.core.hops` (no circles), :mod:`yallmp.core.account` (what all hold in memory),
  :mod:`yallmp.core.sse`, :mod:`yallmp.core.inflate`, :mod:`yallmp.core.work` (what is read
  elsewhere), :mod:`yallmp.core.understanding` (of large requests)
- who may do what: :mod:`yallmp.core.access`, :mod:`yallmp.core.visit`,
  :mod:`yallmp.core.addresses`, :mod:`yallmp.core.failures`
- which way to backends: :mod:`yallmp.core.proxies`
- :mod:`yallmp.core.listing`: which models there are, as clients want to hear it
- what is configured: :mod:`yallmp.core.settings`, :mod:`yallmp.core.backend` and
  :mod:`yallmp.core.parameters` (the values),
  :mod:`yallmp.core.catalog` (names), :mod:`yallmp.core.registry` (what is in force now),
  :mod:`yallmp.core.registration`, :mod:`yallmp.core.changes` (a model comes, or goes, or all
  is read anew), :mod:`yallmp.core.differences`, :mod:`yallmp.core.renewal`,
  :mod:`yallmp.core.meaning` (all of it, as ``check`` shows it)
- several workers: :mod:`yallmp.core.control` (what they are told), :mod:`yallmp.core.ordering`
  (of changes), :mod:`yallmp.core.shares` (of limits)
- metrics: :mod:`yallmp.core.families` (which there are), :mod:`yallmp.core.counts` (what requests
  came to), :mod:`yallmp.core.readings` (what all of it says at one moment)
- reading the file: :mod:`yallmp.core.config`, a package with a map of its own
- records: :mod:`yallmp.core.exchange` (the events), :mod:`yallmp.core.record`,
  :mod:`yallmp.core.recordtext` (several events at once), :mod:`yallmp.core.recorded`,
  :mod:`yallmp.core.recalled`, :mod:`yallmp.core.recordframe` (the format),
  :mod:`yallmp.core.backlog`, :mod:`yallmp.core.frames` (on their way),
  :mod:`yallmp.core.retention`, :mod:`yallmp.core.resend` and :mod:`yallmp.core.curl` (replay)
- secrets: :mod:`yallmp.core.masking`, :mod:`yallmp.core.masked` (in large bodies),
  :mod:`yallmp.core.maskers`, :mod:`yallmp.core.secrets`,
  :mod:`yallmp.core.secretnames`, :mod:`yallmp.core.spellings` (of secrets),
  :mod:`yallmp.core.needles` (many texts looked for at once), :mod:`yallmp.core.escapes`
- :mod:`yallmp.core.errors`: every error of ours, its status and its code
- :mod:`yallmp.core.openapi` and :mod:`yallmp.core.openapi_shapes`: our own endpoints, described
"""

__version__ = "0.1.0"
