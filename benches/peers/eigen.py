"""Top K eigenvalues of the Hessian of a GPT by one of the peers, called as its documentation shows, as one
line of JSON. With --check the true residuals |Hv - λv|/|λ| are recomputed, which is not part of the timed
work."""

import argparse
import json

import safetensors.torch
import torch
from gpt import from_checkpoint
from torch.nn import functional as F


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["pyhessian", "eigenthings"])
    parser.add_argument("checkpoint")
    parser.add_argument("batch")
    parser.add_argument("--setting", type=float, required=True, help="pyhessian: tol; eigenthings: Lanczos steps")
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = from_checkpoint(options.checkpoint, fused=False).to(getattr(torch, options.dtype))
    batch = safetensors.torch.load_file(options.batch)
    x, y = batch["x"], batch["y"]

    solve = pyhessian if options.peer == "pyhessian" else eigenthings
    values, vectors, products = solve(model, x, y, options)
    result = {"values": values, "products": products}
    if options.check:
        result["residuals"] = residuals(model, x, y, values, vectors)
    print(json.dumps(result))


def pyhessian(model, x, y, options):
    from pyhessian import hessian

    def criterion(logits, targets):
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))

    computer = hessian(model, criterion, data=(x, y), cuda=False)
    products = 0
    grad = torch.autograd.grad

    def counted(*args, **kwargs):
        nonlocal products
        products += 1
        return grad(*args, **kwargs)

    torch.autograd.grad = counted
    values, vectors = computer.eigenvalues(maxIter=1000, tol=options.setting, top_n=options.top)
    torch.autograd.grad = grad
    return values, [torch.cat([p.reshape(-1) for p in vector]) for vector in vectors], products


def eigenthings(model, x, y, options):
    from hessian_eigenthings import HessianOperator, lanczos

    def loss(model, batch):
        logits = model(batch[0])
        return F.cross_entropy(logits.view(-1, logits.size(-1)), batch[1].view(-1))

    operator = HessianOperator(model, [(x, y)], loss)
    steps = int(options.setting)
    found = lanczos(operator, k=options.top, max_iter=steps, which="LA", reorthogonalize=True, tol=1e-12, seed=0)
    return found.eigenvalues.tolist(), list(found.eigenvectors), steps


def residuals(model, x, y, values, vectors):
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(model.loss(x, y), parameters, create_graph=True)
    out = []
    for value, vector in zip(values, vectors):
        pieces = torch.split(vector / vector.norm(), [p.numel() for p in parameters])
        pieces = [piece.view_as(p) for piece, p in zip(pieces, parameters)]
        product = torch.autograd.grad(gradient, parameters, pieces, retain_graph=True)
        difference = sum(((h - value * v) ** 2).sum() for h, v in zip(product, pieces)).sqrt()
        out.append(difference.item() / abs(value))
    return out


if __name__ == "__main__":
    main()
