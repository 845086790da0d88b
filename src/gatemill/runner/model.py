"""A folder -> a model that can generate. Rule: safetensors only, no code of the folder is run.

This and the two engines are the only modules of ours that import torch.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import torch
import transformers
from msgspec import Struct
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from gatemill.core.errors import ContextLengthExceeded, GatemillError, InvalidValue
from gatemill.runner import memory
from gatemill.runner.asked import Sampling
from gatemill.runner.batched import Batched, CannotBatch
from gatemill.runner.engine import CannotLoad, Site
from gatemill.runner.fifo import Fifo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.runner.asked import Asked
    from gatemill.runner.engine import Settings

_CONTEXT_TOKENS = 2048  # of a model that does not say what it can take


class NoChatTemplate(GatemillError):
    """The model completes text and was made for no conversation."""

    code = "no_chat_template"
    status = 400
    type = "invalid_request_error"


class Model(Struct, frozen=True):
    """A loaded model and its tokenizer."""

    network: Any  # transformers' PreTrainedModel
    tokenizer: Any  # used by the thread that prepares prompts
    reader: Any  # its copy, used on the event loop: a fast tokenizer must not be in two threads
    eos: frozenset[int]  # token ids that end an answer
    pad: int
    first: int  # a token that an answer may begin after, for trying the model out
    vocabulary: int
    context_tokens: int
    sampling: Sampling  # what the folder's generation_config.json says

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, without special ones."""
        text: str = self.reader.decode(list(ids), skip_special_tokens=True)
        return text

    def prompts(self, asked: Asked) -> list[tuple[int, ...]]:
        """Token ids of each prompt. Raises NoChatTemplate, InvalidValue, ContextLengthExceeded.

        Slow for long texts; called on a thread of its own.
        """
        if asked.chat:
            found = [self._conversation(asked)]
        else:
            found = [self._prompt(one) for one in asked.prompts]
        param = "messages" if asked.chat else "prompt"
        for ids in found:
            wanted = asked.output_max or 1
            if len(ids) + wanted > self.context_tokens:
                raise ContextLengthExceeded(
                    f"The model's context holds {self.context_tokens} tokens. The prompt has"
                    f" {len(ids)}, and {wanted} are wanted for the answer. Send less.",
                    param=param,
                )
        return found

    def _conversation(self, asked: Asked) -> tuple[int, ...]:
        if not self.tokenizer.chat_template:
            raise NoChatTemplate(
                "This model has no chat template. Use /v1/completions, or another model."
            )
        try:
            text = self.tokenizer.apply_chat_template(
                list(asked.chat), tokenize=False, add_generation_prompt=True
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError) as error:
            raise InvalidValue(
                f"The model's chat template refuses these messages: {str(error)[:200]}",
                param="messages",
            ) from error
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _prompt(self, said: str | tuple[int, ...]) -> tuple[int, ...]:
        if not isinstance(said, str):
            if max(said) >= self.vocabulary:
                raise InvalidValue(
                    f"Token ids of this model end at {self.vocabulary - 1}.", param="prompt"
                )
            return said
        ids = tuple(self.tokenizer(said)["input_ids"])
        return ids or (self.first,)


def load(settings: Settings) -> Site:
    """The model is loaded and has generated a token. Raises CannotLoad."""
    torch.set_num_threads(settings.threads)
    transformers.utils.logging.disable_progress_bar()
    folder = Path(settings.model)
    weights_bytes = _weights_bytes(folder)
    device = _device(settings.device)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        dtype = _dtype(settings.dtype, config, device)
        shape = _shape(config, dtype)
        context = _context(settings, config)
        wanted = context * settings.concurrency_max
        plan = memory.planned(shape, settings.cache_bytes, wanted, device.partition(":")[0])
        stored = _stored_bytes(config)
        needed = (
            weights_bytes * dtype.itemsize // stored if dtype.itemsize > stored else weights_bytes
        )
        memory.check(needed, plan.cache_bytes, _free(device))
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        network = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            device_map=device,
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise CannotLoad(str(error)) from error
    network.eval()
    model = _model(network, tokenizer, min(context, plan.tokens))
    if settings.batching:
        try:
            engine = Batched(model, plan, settings.concurrency_max)
            return Site(model, engine, plan.cache_bytes, needed, memory_bytes)
        except CannotBatch as error:
            sys.stderr.write(
                f"one answer at a time, because this model cannot be batched: {error}\n"
            )
    return Site(model, Fifo(model), 0, needed, memory_bytes)


def memory_bytes() -> int:
    """What this process takes of the main memory and of its device."""
    taken = torch.cuda.memory_reserved() if torch.cuda.is_available() else 0
    return memory.resident_bytes() + taken


def _model(network: Any, tokenizer: Any, context_tokens: int) -> Model:
    said = network.generation_config
    ends = said.eos_token_id if said.eos_token_id is not None else tokenizer.eos_token_id
    eos = frozenset(ends if isinstance(ends, list) else () if ends is None else (ends,))
    if tokenizer.eos_token_id is not None:
        eos |= {tokenizer.eos_token_id}
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else 0
    samples = bool(said.do_sample)
    return Model(
        network=network,
        tokenizer=tokenizer,
        reader=copy.deepcopy(tokenizer),
        eos=eos,
        pad=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else next(iter(eos), 0),
        first=first,
        vocabulary=network.get_input_embeddings().num_embeddings,
        context_tokens=context_tokens,
        sampling=Sampling(said.temperature, said.top_p, said.top_k) if samples else Sampling(),
    )


def _weights_bytes(folder: Path) -> int:
    """Size of the weights. Raises CannotLoad for a folder without safetensors, or with code."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise CannotLoad(f"{folder} has no readable config.json") from error
    if "auto_map" in config:
        raise CannotLoad(f"{folder} needs code of its own (auto_map), which is never run")
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if not size:
        raise CannotLoad(f"{folder} has no *.safetensors; pickled weights are not loaded")
    return size


def _device(said: str) -> str:
    if said != "auto":
        return said
    if torch.cuda.is_available():
        return "cuda"
    if torch.version.cuda:
        sys.stderr.write("torch was built for CUDA, and there is no GPU: a CPU build is enough\n")
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(said: str, config: Any, device: str) -> torch.dtype:
    if said != "auto":
        found = getattr(torch, said, None)
        if not isinstance(found, torch.dtype):
            raise CannotLoad(f"dtype {said} is unknown; use float32, bfloat16 or float16")
        return found
    own = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    # Half precision is slow or missing in kernels of the CPU.
    return torch.float32 if own is torch.float16 and device == "cpu" else own


def _stored_bytes(config: Any) -> int:
    return config.dtype.itemsize if isinstance(config.dtype, torch.dtype) else 4


def _shape(config: Any, dtype: torch.dtype) -> memory.Shape:
    text = config.get_text_config()
    heads = text.num_attention_heads
    return memory.Shape(
        layers=text.num_hidden_layers,
        heads=getattr(text, "num_key_value_heads", None) or heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // heads,
        number_bytes=dtype.itemsize,
    )


def _context(settings: Settings, config: Any) -> int:
    own = getattr(config.get_text_config(), "max_position_embeddings", None) or _CONTEXT_TOKENS
    return min(settings.context_tokens or own, own)


def _free(device: str) -> int | None:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return memory.free_bytes()
