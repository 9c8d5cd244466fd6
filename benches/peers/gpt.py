"""GPT-2 as nanoGPT builds it, for measuring PyTorch on the same model: names, shapes and arithmetic are
nanoGPT's, the code is written for these benchmarks."""

import json
import math
import os

import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F


class LayerNorm(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    def __init__(self, width, heads, bias, fused):
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width, bias=bias)
        self.c_proj = nn.Linear(width, width, bias=bias)
        self.heads, self.fused = heads, fused

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            part.view(b, t, self.heads, c // self.heads).transpose(1, 2) for part in self.c_attn(x).split(c, dim=2)
        )
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            # the fused kernel has no second derivative
            scores = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
            mask = torch.ones(t, t, dtype=torch.bool).tril()
            y = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class MLP(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width, bias=bias)
        self.c_proj = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads, bias, fused):
        super().__init__()
        self.ln_1 = LayerNorm(width, bias)
        self.attn = Attention(width, heads, bias, fused)
        self.ln_2 = LayerNorm(width, bias)
        self.mlp = MLP(width, bias)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, n_layer, n_head, n_embd, block_size, vocab_size, bias=False, fused=True):
        super().__init__()
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(vocab_size, n_embd),
                wpe=nn.Embedding(block_size, n_embd),
                h=nn.ModuleList(Block(n_embd, n_head, bias, fused) for _ in range(n_layer)),
                ln_f=LayerNorm(n_embd, bias),
            )
        )
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, x):
        t = self.transformer
        h = t.wte(x) + t.wpe(torch.arange(x.size(1)))
        for block in t.h:
            h = block(h)
        return self.lm_head(t.ln_f(h))

    def loss(self, x, y):
        logits = self(x)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1))


def from_checkpoint(path, fused):
    """A model with the parameters of a nanoGPT `ckpt.pt` or of a native checkpoint folder."""
    if os.path.isdir(path):
        with open(os.path.join(path, "config.json")) as file:
            arguments = json.load(file)
        state = safetensors.torch.load_file(os.path.join(path, "model.safetensors"))
        state["lm_head.weight"] = state["transformer.wte.weight"]
    else:
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        arguments, state = checkpoint["model_args"], checkpoint["model"]
    names = ("n_layer", "n_head", "n_embd", "block_size", "vocab_size", "bias")
    model = GPT(**{name: arguments[name] for name in names}, fused=fused)
    model.load_state_dict({name.removeprefix("_orig_mod."): value for name, value in state.items()})
    return model
