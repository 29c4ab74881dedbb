"""``twistd yallmp``; every twistd imports this module, so it stays this small."""

from twisted.application.service import ServiceMaker

yallmp = ServiceMaker("yallmp", "yallmp.options", "An LLM proxy for the OpenAI API", "yallmp")
