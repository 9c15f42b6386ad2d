"""The Python API: what stands in a notebook, a line each. `import roots_tf as roots` has it.

    model = roots.load("work/pretrained")
    roots.fill_mask(model, "The [MASK] of the array.")

One text gives one answer, several give a list. Answers are plain dictionaries, lists and arrays, of
the shapes that the programs write as JSON: what is in a file and what is in memory is read by the
same code. A mistake is an `InputError`, whose message says what was found and what was wanted.

Wherever a `model` is asked for, a path will do: a model folder, or the output folder of the run
that wrote it. It is read each time, unless somebody still holds the model that `load` gave.
"""
