"""
How requests and answers are put, in each dialect and in none.

``conversation``, ``answer`` and ``growing`` are the neutral model, ``losses`` what does not fit.
Each dialect has one translator between itself and that model, an
:class:`yallmp.interfaces.IDialect`; nothing here knows of backends, and nothing raises for
anything that a backend sent.

``table`` has them by name; ``members`` and ``loose`` read JSON, of clients and of backends;
``naming`` says where something stood, ``sealed`` and ``customs`` put into one dialect what belongs
to another, and ``foreign`` takes it out where that other is asked.  ``counting`` estimates how
many tokens a request has.

- ``chat``: OpenAI's chat completions.  ``chat_requests`` and ``chat_turns`` read a request,
  ``chat_bodies`` and ``chat_messages`` write one; ``chat_answers`` is whole answers,
  ``chat_reading`` and ``chat_writing`` streams, ``chat_words`` what stands beside the text.

- ``messages``: Anthropic's Messages.  ``messages_requests`` and ``messages_blocks`` read a
  request; ``messages_bodies``, ``messages_turns``, ``messages_parts`` and ``messages_thinking``
  write one, and ``messages_models`` knows what models take; ``messages_answers`` is whole answers,
  ``messages_reading`` and ``messages_writing`` streams, the latter in ``messages_growing`` blocks;
  ``messages_words`` and ``messages_usage`` are what these share.

- ``responses``: OpenAI's Responses.  ``responses_requests`` and ``responses_items`` read a
  request, ``responses_bodies`` and ``responses_turns`` write one; ``responses_parts``,
  ``responses_tools`` and ``responses_reasoning`` do both for what they are called after;
  ``responses_offers`` is tools that others have as functions only; ``responses_answers`` and
  ``responses_reading`` read answers, ``responses_writing`` writes them, of ``responses_output``
  and ``responses_calls`` (items, told by ``responses_events``) and ``responses_objects`` (what
  stands around them).

What the servers of local models pass on as plain text is read by ``parsing``, with ``tagged`` (text
with tags in it, as it flows) and ``callblocks`` (what stands between those of a call).
"""
