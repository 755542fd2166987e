"""Vision-language models behind an OpenAI-compatible server: vLLM, SGLang, Ollama, hosted ones.

Importing this package does not load httpx; building a prompter does.
"""

from fiducial.prompters.endpoint.prompter import EndpointPrompter
from fiducial.prompters.endpoint.retrying import Backoff, Cause, EndpointError

__all__ = ["Backoff", "Cause", "EndpointError", "EndpointPrompter"]
