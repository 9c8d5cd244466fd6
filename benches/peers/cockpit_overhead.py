"""What Cockpit 1.0.2, the nearest peer for measuring every step, adds to a training step: `make bench-cockpit`, or

    python -W ignore benches/peers/cockpit_overhead.py [--threads 1] [--rounds 20]

with requirements-cockpit.txt installed.

One Markdown table: the median time of a plain PyTorch step, and of the same step with Cockpit's presets tracked at
every step, alternated in one process; ratios are medians of each round's. `gradient only` are the quantities of
`economy` that need no gradients of single samples. BackPACK has no LayerNorm or attention, so that no preset runs on a
GPT, and their errors stand in the table. They are measured on perceptrons of the same size instead: one that reads
vectors, and one that reads 12 sequences of 64 tokens, the work of the small GPT without attention. SGD is the only
optimizer for which Cockpit computes its `Alpha` during the backward pass; for others it keeps the gradients of single
samples. Inputs and labels are random."""

import argparse
import statistics
import time

import torch
from backpack import extend
from cockpit import Cockpit, quantities
from cockpit.utils import schedules
from cockpit.utils.configuration import quantities_cls_for_configuration
from gpt import GPT
from torch import nn

TRACKED = {
    "nothing": [],
    "gradient only": [quantities.Loss, quantities.GradNorm, quantities.Distance, quantities.UpdateSize],
    **{preset: quantities_cls_for_configuration(preset) for preset in ("economy", "business", "full")},
}


def perceptron(*widths):
    layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def vectors():
    return perceptron(784, 512, 512, 256, 10), torch.randn(64, 784), torch.randint(10, (64,))


def sequences():
    model = perceptron(128, *[560, 128] * 5).append(nn.Flatten()).append(nn.Linear(64 * 128, 10))
    return model, torch.randn(12, 64, 128), torch.randint(10, (12,))


def gpt():
    model = GPT(n_layer=4, n_head=4, n_embd=128, block_size=64, vocab_size=65)
    return model, *torch.randint(65, (2, 12, 64))


# all of 0.80M parameters
MODELS = {
    "perceptron 784-512-512-256-10, batch 64, SGD": (vectors, torch.optim.SGD),
    "the same, AdamW": (vectors, torch.optim.AdamW),
    "perceptron 5 x (128-560-128), batch 12 x 64, SGD": (sequences, torch.optim.SGD),
    "GPT L4 H4 C128 T64 B12 V65, AdamW": (gpt, torch.optim.AdamW),
}


def trainer(build, optimizer, tracked):
    """A function that makes one training step, by its number."""
    torch.manual_seed(0)
    model, x, y = build()
    loss_function, loss_of_each = nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="none")
    if tracked:
        model, loss_function = extend(model), extend(loss_function)
        cockpit = Cockpit(model.parameters(), [q(track_schedule=schedules.linear(interval=1)) for q in tracked])
    optimizer = optimizer(model.parameters(), lr=1e-3)

    def step(number):
        optimizer.zero_grad()
        output = model(x).movedim(-1, 1)
        loss = loss_function(output, y)
        if tracked:
            info = {"batch_size": len(x), "loss": loss, "optimizer": optimizer}
            if quantities.Alpha in tracked:
                info["individual_losses"] = loss_of_each(output, y).view(len(y), -1).mean(1)
            with cockpit(number, info=info):
                loss.backward(create_graph=cockpit.create_graph(number))
        else:
            loss.backward()
        optimizer.step()

    return step


def first_error(error):
    # leaving its context after an error, Cockpit runs into another one
    while error.__context__:
        error = error.__context__
    return f"{type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    print("| model | tracked at every step | step, ms | / plain | rounds |\n|---|---|---|---|---|")
    for name, (build, optimizer) in MODELS.items():
        steps = {label: trainer(build, optimizer, tracked) for label, tracked in TRACKED.items()}
        times, errors = {label: [] for label in TRACKED}, {}
        # the first two rounds warm up; `Alpha` needs two
        for number in range(options.rounds + 2):
            for label, step in steps.items():
                # five rounds are enough of what has taken a minute
                if label in errors or len(times[label]) >= 7 and sum(times[label]) > 60:
                    continue
                start = time.perf_counter()
                try:
                    step(number)
                except Exception as error:
                    errors[label] = first_error(error)
                times[label].append(time.perf_counter() - start)
        for label, list_ in times.items():
            if label in errors:
                print(f"| {name} | {label} | {errors[label]} | | |")
            else:
                median = statistics.median(list_[2:])
                # each round against its own plain step, since the machine drifts
                ratio = statistics.median(t / plain for t, plain in list(zip(list_, times["nothing"]))[2:])
                print(f"| {name} | {label} | {median * 1e3:.1f} | {ratio:.2f} | {len(list_) - 2} |")


if __name__ == "__main__":
    main()
