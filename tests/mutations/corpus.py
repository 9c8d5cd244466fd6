"""Makes the PyTorch seeds of the mutation corpus: one tiny nanoGPT checkpoint in every container torch.save has
written. Needs benches/peers/requirements.txt.

    python tests/mutations/corpus.py

Zip archives carry no checksums, so that a mutation reaches the reader behind them."""

import os
import pickle
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../benches/peers"))
from gpt import GPT  # noqa: E402

torch.manual_seed(1)
torch.serialization.set_crc32_options(False)
args = dict(n_layer=1, n_head=2, n_embd=4, block_size=6, vocab_size=7, bias=False)
model = GPT(**args, fused=False)
matrices = [p for p in model.parameters() if p.dim() >= 2]
vectors = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW(
    [dict(params=matrices, weight_decay=0.1), dict(params=vectors, weight_decay=0.0)], lr=1e-3, betas=(0.9, 0.95))
for _ in range(3):
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
settings = dict(learning_rate=1e-3, warmup_iters=0, lr_decay_iters=10, min_lr=1e-4, decay_lr=False, grad_clip=1.0)
checkpoint = dict(
    model=model.state_dict(), optimizer=optimizer.state_dict(), model_args=args, iter_num=3,
    best_val_loss=torch.tensor(1.5), config=settings)


def path(folder, name):
    os.makedirs(os.path.join(HERE, "corpus", folder), exist_ok=True)
    return os.path.join(HERE, "corpus", folder, name)


torch.save(checkpoint, path("pytorch", "zip.pt"))
torch.save(checkpoint, path("pytorch", "zip-protocol-4.pt"), pickle_protocol=4)
torch.save(checkpoint, path("pytorch", "legacy.pt"), _use_new_zipfile_serialization=False)
half = {key: value.half() for key, value in model.state_dict().items()}
torch.save({**checkpoint, "model": half}, path("pytorch", "half.pt"))
plain = {"model_args": args, "iter_num": 3, "config": settings, "model": {}}
for name, data in {"pytorch/bare.pt": plain, "meta_pickle/meta.pkl": {"vocab_size": 3, "itos": {0: "a", 1: "b", 2: "c"}}}.items():
    with open(path(*name.split("/")), "wb") as file:
        pickle.dump(data, file)
