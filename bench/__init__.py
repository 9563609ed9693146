"""The benchmark: the provider's own verbs against what else brings an image to an edge host, in the lab's
real hosts. ``python -m bench`` runs all cases and writes RESULTS.md and results.svg beside this file.

    __main__   which cases to run, and in what order
    cases      the table of cases; first, changes, many and limits say what each does
    site       the lab as the cases see it
    provider   the provider's verbs in a process of their own (child is that process)
    baselines  the other ways, and the floors
    images     the images; layers makes what is in them, archives packs them
    measure    values and ratios; report writes them down; results reads them again, readme and plot show them

Never imported by the provider. Needs root, as the lab does.
"""
