"""Gradient, exact product with the Hessian and training step of an eager nanoGPT, in seconds, as one line of
JSON: the counterpart of `cargo bench --bench engine -- SIZE --json`.

The product is PyTorch's cheapest exact one: the graph of the gradient is kept and differentiated again, with
attention written out, because the fused kernel has no second derivative."""

import argparse
import json
import statistics
import time

import torch
from gpt import GPT

SIZES = {
    "small": (dict(n_layer=4, n_head=4, n_embd=128, block_size=64, vocab_size=65), 12),
    "large": (dict(n_layer=6, n_head=6, n_embd=384, block_size=256, vocab_size=65), 4),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    config, batch = SIZES[options.size]
    x, y = torch.randint(config["vocab_size"], (2, batch, config["block_size"]))
    fused, composed = GPT(**config), GPT(**config, fused=False)
    composed.load_state_dict(fused.state_dict())
    optimizer = torch.optim.AdamW(fused.parameters(), lr=1e-6, betas=(0.9, 0.95), weight_decay=0.1)

    parameters = list(composed.parameters())
    gradient_with_graph = torch.autograd.grad(composed.loss(x, y), parameters, create_graph=True)
    vector = [torch.randn_like(p) for p in parameters]

    def gradient():
        optimizer.zero_grad(set_to_none=True)
        fused.loss(x, y).backward()

    def product():
        torch.autograd.grad(gradient_with_graph, parameters, vector, retain_graph=True)

    def step():
        gradient()
        torch.nn.utils.clip_grad_norm_(fused.parameters(), 1.0)
        optimizer.step()

    work = {"gradient": gradient, "Hessian product": product, "training step": step}
    times = {name: [] for name in work}
    for _ in range(options.rounds + 1):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    # the first round warms up
    print(json.dumps({name: statistics.median(list_[1:]) for name, list_ in times.items()}))


if __name__ == "__main__":
    main()
