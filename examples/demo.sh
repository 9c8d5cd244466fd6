#!/bin/sh
# Trains the same small GPT twice, with and without warmup, at three times its best learning rate, and
# shows what Adam, the gradients and attention did at every step of both, and what the loss surface was at some, as a
# table and as one page. Everything lands in runs/demo-*, reports/demo-* and report-demo.html, which are made anew each
# time. WARMLAB names the binary.
set -eu
warmlab=${WARMLAB:-warmlab}

data=moby-dick
if ! "$warmlab" data "$data"; then
    echo "The text of Moby Dick is not to be had here (it comes from npm); the built-in language stands in." >&2
    data=synthetic
fi

steps=1,2,5,10,20,50,100,200,300
rm -rf runs/demo-cold runs/demo-warm reports/demo-cold reports/demo-warm
for run in "cold 0" "warm 60"; do
    set -- $run
    "$warmlab" train --data "$data" --name "demo-$1" --warmup "$2" --steps 300 --learning-rate 6e-3 \
        --track adam,angular,attention,snr \
        --save-early 0 --save-growth 1 --save-every 0 --save-at "$steps" >/dev/null
    "$warmlab" hessian --run "runs/demo-$1" --steps "$steps" --operator hessian --operator preconditioned \
        --top 1 --bottom 0 --tol 1e-2 --allow-unconverged --format csv >/dev/null
    # signal and noise of single sequences, which take a gradient each
    "$warmlab" snr --run "runs/demo-$1" --steps "$steps" --no-curvature --quiet --allow-unconverged \
        --format csv >/dev/null
done

echo
page=report-demo.html
"$warmlab" report runs/demo-cold runs/demo-warm --html "$page" --quiet
cat <<'END'

The same model, seed, batches and peak learning rate 6e-3, about three times the best; `demo-warm` reaches
it over 60 updates, `demo-cold` starts with it. λ1 and the loss show what the first updates of `demo-cold` cost.
Preconditioned λ1 is the curvature in Adam's geometry, P = √v̂ + ε as the checkpoint has it, on the first validation
sequences; masked λ1 leaves out the coordinates with √v̂ < 10 ε, such as rows of tokens that no batch has held yet, on
which other sequences than the last batches put curvature that no gradient has scaled: where the two differ, read the
masked one. threshold_t is what a frozen P would stand at the next learning rate in the long run, margin is threshold_t
over c·λ1, c what clipping leaves of the next update. P is never frozen: a margin below 1 at a step says that the
curvature is large for the rate, not that the run became unstable there. φ is the gradient's signal over its noise, per
sequence: early batches agree. The angle says how far an update turns the weights: without warmup the first updates
turn them furthest; with it the angle grows with the rate. Entropy falls as attention narrows.

Reports: reports/demo-cold/*/step*.parquet and reports/demo-warm/*/step*.parquet
Next:    warmlab inspect reports/demo-cold
END
echo "Page:    $PWD/$page"
