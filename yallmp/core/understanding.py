"""
Requests whose bodies are large, understood as work (:mod:`yallmp.core.work`).
"""

from __future__ import annotations

from attrs import evolve, frozen

from yallmp.core.asked import Asked, Endpoint, understand, without_body
from yallmp.core.catalog import MAX_NAME, name_problem
from yallmp.core.errors import InvalidJSON, RequestFault
from yallmp.core.jsonbody import Document


@frozen
class Understood:
    """
    What a body asks for, or what is wrong with it.

    :ivar model: the model that it names, in either case.
    :ivar asked: without the body, which need not be sent back.
    """

    model: str | None
    asked: Asked | None
    fault: RequestFault | None

    def of(self, body: bytes) -> Asked:
        """
        What *body*, of which this is known, asks for.

        :raises RequestFault: nothing.
        """
        if self.asked is None:
            raise self.fault or InvalidJSON("The body cannot be read.")
        return evolve(self.asked, document=evolve(self.asked.document, body=body))


@frozen
class Understand:
    """Understand a request to *endpoint*."""

    endpoint: Endpoint

    def __call__(self, body: bytes) -> Understood:
        """What *body* asks for."""
        model = None
        try:
            document = Document.parse(body)
            named = document.get("model")
            model = named[:MAX_NAME] if isinstance(named, str) else None
            asked = understand(self.endpoint, document)
            if len(asked.model) > MAX_NAME:
                raise RequestFault(f"The model's name {name_problem(asked.model)}.", param="model")
        except RequestFault as fault:
            return Understood(model, None, fault)
        except MemoryError:
            many = InvalidJSON("The body has too many values in it to be read.")
            return Understood(model, None, many)
        return Understood(model, without_body(asked), None)
