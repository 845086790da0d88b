"""Which context windows a request fits. Rule: our count is an estimate, so a doubt is no refusal."""

from __future__ import annotations

OUTPUT_GUESS = 1024  # answer tokens assumed where the caller names no maximum
SURE = 1.5  # an estimate this many times too large is no doubt: see policy/tokens.py


def fits(window: int | None, prompt_tokens: int, output_max: int | None) -> bool:
    """Prompt and answer have room; an unknown window has.

    Where the caller names no maximum, an answer is taken to need 1024 tokens, and in a small window
    a quarter of it.
    """
    if window is None:
        return True
    output = min(OUTPUT_GUESS, window // 4) if output_max is None else output_max
    return prompt_tokens + output <= window


def is_hopeless(window: int | None, prompt_tokens: int) -> bool:
    """The prompt alone exceeds the window, however wrong the estimate is."""
    return window is not None and prompt_tokens > SURE * window
