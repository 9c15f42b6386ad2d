"""What a run was, as a page for people: `report.html` of one run, and runs side by side.

    run_folder    what the folder of a run holds: flags, plan, rows, scores
    run_record    the same for doctor, of pretraining
    curves        series from the rows, by step, by tokens and by time
    samples       what the model said during pretraining
    answers       what a fine-tuned model answers wrong
    run_page      the page of one run
    comparison    several runs side by side

All of it is made from the files of the folder, so that it can be made again at any time.
"""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__, {"RunFolder": "run_folder", "write": "run_page", "written": "run_page"}
)
