"""
The providers that a model's name may begin with, as in LiteLLM (``groq/llama-3.3-70b``).

Addresses are those of the providers' own documentation of their OpenAI-compatible APIs.
"""

from __future__ import annotations

#: Providers that speak OpenAI's dialect, by LiteLLM's prefix, with their default address;
#: ``None`` where there is none.
PROVIDERS: dict[str, str | None] = {
    "openai": "https://api.openai.com/v1",
    "text-completion-openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "ai21": "https://api.ai21.com/studio/v1",
    "ai21_chat": "https://api.ai21.com/studio/v1",
    "cerebras": "https://api.cerebras.ai/v1",
    "codestral": "https://codestral.mistral.ai/v1",
    "custom_openai": None,
    "dashscope": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "deepseek": "https://api.deepseek.com/v1",
    "featherless_ai": "https://api.featherless.ai/v1",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "friendliai": "https://api.friendli.ai/serverless/v1",
    "github": "https://models.inference.ai.azure.com",
    "groq": "https://api.groq.com/openai/v1",
    "hosted_vllm": None,
    "hyperbolic": "https://api.hyperbolic.xyz/v1",
    "lambda_ai": "https://api.lambda.ai/v1",
    "litellm_proxy": None,
    "llamafile": "http://127.0.0.1:8080/v1",
    "lm_studio": None,
    "meta_llama": "https://api.llama.com/compat/v1",
    "mistral": "https://api.mistral.ai/v1",
    "moonshot": "https://api.moonshot.ai/v1",
    "nebius": "https://api.studio.nebius.ai/v1",
    "novita": "https://api.novita.ai/v3/openai",
    "nvidia_nim": "https://integrate.api.nvidia.com/v1",
    "ollama": "http://localhost:11434/v1",
    "ollama_chat": "http://localhost:11434/v1",
    "openai_like": None,
    "openrouter": "https://openrouter.ai/api/v1",
    "perplexity": "https://api.perplexity.ai",
    "sambanova": "https://api.sambanova.ai/v1",
    "together_ai": "https://api.together.xyz/v1",
    "volcengine": "https://ark.cn-beijing.volces.com/api/v3",
    "xai": "https://api.x.ai/v1",
    "xinference": "http://127.0.0.1:9997/v1",
}

#: Providers whose OpenAI dialect is at ``/v1`` and whose address LiteLLM takes without it.
BELOW_V1 = {"anthropic", "ollama", "ollama_chat"}

#: Providers with a dialect of their own: LiteLLM's prefix, and the ``api_type`` for it.
DIALECTS: dict[str, str] = {
    "anthropic": "anthropic",
    "anthropic_text": "anthropic",
    "azure": "azure",
    "azure_text": "azure",
    "bedrock": "bedrock",
    "gemini": "gemini",
    "vertex_ai": "vertex_ai",
    "vertex_ai_beta": "vertex_ai",
}
