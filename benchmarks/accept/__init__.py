"""What the sources of each system say it must show: one module a system, named like it.

Each has `accept(seeds, data)`, which measures, and yields one `Row` for each statement, in the
order of what can be derived, what was published, what was measured by ourselves before. A
statement that falls short is a row as well. To add a system, write its file and add its line here.
"""

SYSTEMS: tuple[str, ...] = (
    "adaptive_threshold_features",
    "associative_memory",
    "autonomous_recurrent",
    "bidirectional",
    "binary_variational",
    "boolean_threshold",
    "classp",
    "counter_current",
    "coupled_ensemble",
    "curl_descent",
    "discrete_conductance",
    "dragon_hatchling",
    "driven_recurrent",
    "dynamic_pruning",
    "equilibrium_propagation",
    "event_reservoir",
    "exponentiated_gradient",
    "fast_slow",
    "group_sparsity",
    "hopfield_memory",
    "liquid_state",
    "multitasking_memory",
    "node_perturbation",
    "noprop",
    "orthogonal_projection",
    "presynaptic_pool",
    "rehearsal",
    "rehearsal_gate",
    "sgd",
    "soft_hebbian",
    "stdp_detector",
    "symmetric_stdp",
)
