"""
From the text of a configuration to a :class:`yallmp.core.settings.Config`.

The text becomes a tree that knows its lines (:mod:`yallmp.core.config.yamltree`,
:mod:`yallmp.core.config.environment`).  The tree is held against the table of settings
(:mod:`yallmp.core.config.schema`), whose kinds of values are in ``kinds``, ``wirekinds``
and ``listenkinds``; ``sections`` does so for one mapping, ``entries`` and ``destination``
for one backend, ``extending`` and ``parameterkinds`` for ``extends`` and ``parameters``,
``apikeys`` and ``fallbacklists`` for what their names say.  ``litellm``
and ``providers`` know what moves over from LiteLLM's files.  ``references`` checks what
names something else, last.  ``whole`` puts it together; what is wrong is gathered on the
way (``reading``, ``findings``) and told at once.
"""

from yallmp.core.config.entries import parse_backend
from yallmp.core.config.findings import ConfigError, Problem
from yallmp.core.config.schema import API_TYPES
from yallmp.core.config.whole import parse

__all__ = ["API_TYPES", "ConfigError", "Problem", "parse", "parse_backend"]
