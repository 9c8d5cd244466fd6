//! The optimizer's state with its names recovered.
//!
//! `optimizer.state` is keyed by position. Names that newer versions of PyTorch write (`param_names`) say
//! which is which; without them the sizes of the groups tell whose order it is ([`layouts`]), and every shape
//! is verified against it.

use std::collections::HashMap;
use std::sync::Arc;

use super::names::layouts;
use super::rate::Schedule;
use super::rule::{Rule, rule};
use crate::architecture::{GptConfig, Parameter};
use crate::base::error::{Error, Result};
use crate::base::pickle::Id;
use crate::base::specification::Specification;
use crate::base::values::DType;
use crate::run::checkpoint::Moments;
use crate::run::moments;
use crate::run::optimizer::{OptimizerState, PerTensor};
use crate::run::pytorch::{Named, TorchFile, plain};
use crate::run::tensor_map::TensorMap;

/// One group, as far as it is understood.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
}

/// A parameter's group and state.
struct Place {
    group: usize,
    state: Option<Id>,
}

/// Reads the optimizer of a checkpoint of iteration `iter_num`, with the moments that are wanted.
///
/// # Errors
/// Why its state cannot be used.
pub fn read(
    file: &Arc<TorchFile>,
    optimizer: Id,
    (config, iter_num): (&GptConfig, u64),
    (wanted, dtype): (Moments, DType),
    notes: &mut Vec<String>,
) -> Result<OptimizerState> {
    let (path, pickle) = (file.path(), file.pickle());
    let refused = |problem: String| Error::file(path, problem);
    let ids = pickle.get(optimizer, "param_groups").map(|id| pickle.items(id)).unwrap_or_default();
    let first = *ids.first().ok_or_else(|| refused("has an optimizer without parameter groups".into()))?;
    let parameters = config.parameters();
    let states = states(file, optimizer);
    let any_state = states.values().next().copied();
    let Rule { name, coupled } = rule(file, first, any_state);
    let is_adams = ["adamw", "adam", "amsgrad", "radam", "nadam"].contains(&name.as_str());
    let groups = ids
        .iter()
        .map(|&id| group(file, id, is_adams))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(refused)?;
    // groups with rates of their own are some multiple of one schedule
    let lr = groups.iter().map(|g| g.lr).fold(0.0, f64::max);
    let mut optimizer = OptimizerState {
        told: told(&name, &groups[0], groups[0].weight_decay, is_adams),
        coupled,
        lr,
        grad_clip: grad_clip(file),
        ..OptimizerState::default()
    };
    if let Some(schedule) = Schedule::of(file) {
        optimizer.last_lr = groups.iter().find_map(|g| {
            let last = schedule.last_rate(iter_num, g.lr)?;
            if g.lr == lr { Some(last) } else { Some(lr * (last / g.lr)).filter(|last| last.is_finite()) }
        });
    }
    if optimizer.last_lr.is_none() && iter_num > 0 {
        notes.push(format!(
            "the schedule in `config` does not give the stored learning rate {}: the rate of the last update is \
             not known and is guessed to be that of the next",
            optimizer.lr
        ));
    }
    if !is_adams {
        optimizer.updates = iter_num;
        return Ok(optimizer);
    }
    if let Some(other) = groups.iter().find(|g| (g.betas, g.eps) != (groups[0].betas, groups[0].eps)) {
        return Err(refused(format!(
            "has groups with different betas or eps ({:?}, {:e} and {:?}, {:e}); one of each is needed",
            groups[0].betas, groups[0].eps, other.betas, other.eps
        )));
    }
    let places = places(file, ids, config, &states, notes)?;
    let of = |p: &Parameter| &places[&p.name];
    let per_tensor = PerTensor {
        rates: parameters.iter().map(|p| groups[of(p).group].lr).collect(),
        decays: parameters.iter().map(|p| groups[of(p).group].weight_decay).collect(),
    };
    let decay = per_tensor.decays.iter().copied().fold(0.0, f64::max);
    optimizer.told = told(&name, &groups[0], decay, is_adams);
    optimizer.per_tensor = Some(per_tensor);
    if states.is_empty() {
        return match iter_num {
            0 => Ok(optimizer),
            _ => Err(refused(format!("has an optimizer without any state after {iter_num} iterations"))),
        };
    }
    optimizer.updates = updates(file, &parameters, &places)?;
    note_skipped(optimizer.updates, iter_num, notes);

    let mut named = Named::new(file.clone());
    for (kind, p) in
        moments::kinds(&optimizer).iter().flat_map(|kind| parameters.iter().map(move |p| (kind, p)))
    {
        let tensor = of(p).state.and_then(|state| file.tensor(pickle.get(state, kind)?));
        if let Some(tensor) = tensor {
            named.insert(format!("{kind}.{}", p.name), tensor)?;
        }
    }
    let map = |kind: &str| TensorMap::of(config).renamed(|name| format!("{kind}.{name}"));
    moments::read(&mut optimizer, &named, map, wanted, dtype)?;
    Ok(optimizer)
}

/// The constants of a group, by the keys they have here.
fn told(name: &str, group: &Group, weight_decay: f64, is_adams: bool) -> Specification {
    let with = |told: Specification, key: &str, number: f64| told.with(key, format!("{number:?}"));
    let told = with(Specification::named(name), "weight_decay", weight_decay);
    if !is_adams {
        return with(told, "momentum", group.betas.0);
    }
    with(with(with(told, "beta1", group.betas.0), "beta2", group.betas.1), "eps", group.eps)
}

fn note_skipped(updates: u64, iter_num: u64, notes: &mut Vec<String>) {
    if let Some(skipped) = iter_num.checked_sub(updates).filter(|&skipped| skipped > 0) {
        notes.push(format!("optimizer made {updates} of {iter_num} updates ({skipped} skipped)"));
    } else if updates > iter_num {
        notes.push(format!("optimizer made {updates} updates, the run counts {iter_num}"));
    }
}

/// Position of a parameter to its state.
fn states(file: &TorchFile, optimizer: Id) -> HashMap<u64, Id> {
    let pickle = file.pickle();
    let entries = pickle.get(optimizer, "state").map(|id| pickle.entries(id)).unwrap_or_default();
    let keyed = entries.iter().filter_map(|(key, state)| Some((pickle.size(*key)? as u64, *state)));
    // plain SGD keeps a dictionary without entries
    keyed.filter(|(_, state)| !pickle.entries(*state).is_empty()).collect()
}

/// The numbers of a group; those an Adam must have are demanded of one.
fn group(file: &TorchFile, id: Id, is_adams: bool) -> std::result::Result<Group, String> {
    let get = |key: &str| file.pickle().get(id, key);
    let number = |key: &str| match get(key).map(|id| file.number(id)) {
        Some(Some(x)) if x.is_finite() => Ok(Some(x)),
        Some(_) => Err(format!("has an optimizer whose `{key}` is no number")),
        None => Ok(None),
    };
    let demanded = |key: &str| match number(key)? {
        None => Err(format!("has an optimizer group without `{key}`")),
        Some(x) => Ok(x),
    };
    let lr = demanded("lr")?;
    if !is_adams {
        let momentum = number("momentum").ok().flatten().unwrap_or(0.0);
        let weight_decay = number("weight_decay").ok().flatten().unwrap_or(0.0);
        return Ok(Group { lr, betas: (momentum, 0.0), eps: 0.0, weight_decay });
    }
    let betas: Vec<Option<f64>> = get("betas")
        .map(|id| file.pickle().items(id).iter().map(|&beta| file.number(beta)).collect())
        .unwrap_or_default();
    let [Some(beta1), Some(beta2)] = betas[..] else {
        return Err("has an optimizer whose `betas` are not two numbers".into());
    };
    let (eps, weight_decay) = (demanded("eps")?, demanded("weight_decay")?);
    let sane = (0.0..1.0).contains(&beta1) && (0.0..1.0).contains(&beta2) && eps >= 0.0;
    if !sane {
        return Err(format!("has an optimizer with impossible betas ({beta1}, {beta2}) or eps ({eps})"));
    }
    Ok(Group { lr, betas: (beta1, beta2), eps, weight_decay })
}

/// Where each parameter's state is.
fn places(
    file: &TorchFile,
    ids: &[Id],
    config: &GptConfig,
    states: &HashMap<u64, Id>,
    notes: &mut Vec<String>,
) -> Result<HashMap<String, Place>> {
    let (path, pickle) = (file.path(), file.pickle());
    let list = |group: Id, key: &str| pickle.get(group, key).map(|id| pickle.items(id));
    let members: Vec<&[Id]> = ids.iter().map(|&id| list(id, "params").unwrap_or_default()).collect();
    let written: Option<Vec<Vec<String>>> = ids
        .iter()
        .map(|&id| {
            let names = list(id, "param_names")?;
            names.iter().map(|&name| pickle.text(name).map(plain)).collect()
        })
        .collect();
    let fits = |groups: &[Vec<String>]| {
        groups.len() == members.len()
            && groups.iter().zip(&members).all(|(names, ids)| names.len() == ids.len())
    };
    let names = match written.filter(|groups| fits(groups)) {
        Some(names) => names,
        None => {
            let Some(layout) = layouts(config).into_iter().find(|layout| fits(&layout.groups)) else {
                let sizes: Vec<String> = members.iter().map(|ids| ids.len().to_string()).collect();
                return Err(Error::file(
                    path,
                    format!(
                        "has an optimizer with groups of {} parameters, which is no order of nanoGPT's",
                        sizes.join(", ")
                    ),
                ));
            };
            notes.extend(layout.note.map(String::from));
            layout.groups
        }
    };
    let mut places = HashMap::new();
    for (group, (names, ids)) in names.into_iter().zip(&members).enumerate() {
        for (mut name, &id) in names.into_iter().zip(*ids) {
            if name == "lm_head.weight" && config.tied_lm_head {
                name = "transformer.wte.weight".into();
            }
            let state = pickle.size(id).and_then(|at| states.get(&(at as u64)).copied());
            if !states.is_empty() && state.is_none() {
                return Err(Error::tensor(path, &name, "has no state in the optimizer"));
            }
            places.insert(name, Place { group, state });
        }
    }
    match config.parameters().iter().find(|p| !places.contains_key(&p.name)) {
        Some(p) => Err(Error::tensor(path, &p.name, "belongs to no optimizer group")),
        None => Ok(places),
    }
}

/// The optimizer's own count of updates, which every parameter's state carries.
fn updates(file: &TorchFile, parameters: &[Parameter], places: &HashMap<String, Place>) -> Result<u64> {
    let path = file.path();
    let mut agreed: Option<(u64, &str)> = None;
    for p in parameters {
        let step = places[&p.name].state.and_then(|state| file.pickle().get(state, "step"));
        let count = step
            .and_then(|step| file.number(step))
            .filter(|count| *count >= 1.0 && count.fract() == 0.0 && *count < 1e15)
            .ok_or_else(|| {
                Error::tensor(path, &p.name, "has no count of updates (`step`) in the optimizer")
            })?;
        let count = count as u64;
        match agreed {
            Some((other, first)) if other != count => {
                return Err(Error::tensor(
                    path,
                    &p.name,
                    format!(
                        "was updated {count} times and `{first}` {other} times; Adam's formulas need one count"
                    ),
                ));
            }
            Some(_) => {}
            None => agreed = Some((count, &p.name)),
        }
    }
    Ok(agreed.map_or(0, |(count, _)| count))
}

/// The norm that gradients were clipped to, where the run's settings tell; 0 is never.
fn grad_clip(file: &TorchFile) -> Option<f64> {
    file.number(file.find(&["config", "grad_clip"])?).filter(|clip| *clip >= 0.0)
}
