"""A student beside its teacher."""


def table(report: dict) -> str:
    """Sizes of both as lines of a terminal, and their scores beside what a trivial answer has.

    Args:
        report: `teacher` and `student`, their sizes by name; with a dev file, `dev`, scores by name
            of `teacher`, `student` and `baseline`, and the `agreement` of both.
    """
    lines = [f"{'':<28} {'teacher':>12} {'student':>12} {'trivial':>12}"]
    teacher, student = report["teacher"], report["student"]
    lines += [f"{name:<28} {teacher[name]:>12,} {student[name]:>12,}" for name in teacher]
    dev = report.get("dev", {"student": {}})
    for name, value in dev["student"].items():
        if not isinstance(value, dict):
            numbers = (dev[whose][name] for whose in ("teacher", "student", "baseline"))
            scores = " ".join(f"{number:>12.3f}" for number in numbers)
            lines.append(f"{'dev ' + name:<28} {scores}")
    if "agreement" in report:
        lines.append(f"{'dev answers alike':<28} {'':>12} {report['agreement']:>12.3f}")
    return "\n".join(lines)
