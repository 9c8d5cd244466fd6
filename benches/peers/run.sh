#!/bin/sh
# Compares on the checkpoint and tokens given, or on a run made for the purpose. WARMLAB and PYTHON name the
# binary and the interpreter with the peers.
set -eu
ckpt=${1:-} data=${2:-}
if [ -z "$ckpt" ]; then
    "$WARMLAB" data moby-dick
    [ -d runs/peers ] || "$WARMLAB" train --data moby-dick --name peers --steps 300 --save-early 0 >/dev/null
    ckpt=runs/peers/checkpoints/step_300
    data=datasets/moby-dick/val.bin
fi
exec "$PYTHON" benches/peers/compare.py --warmlab "$WARMLAB" --ckpt "$ckpt" --data "$data"
