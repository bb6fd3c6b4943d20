internal import KVMTypes

extension PatchReport {
  /// The report as a page of text: what differs first, where, how often, and in which figures.
  public func text(all: Bool, in form: PageForm = .filed) -> String {
    var page = TextPage(form)
    page.title("\(before.name)  ->  \(after.name)")
    for recording in recordings { Self.write(recording, &page) }
    writeFigures(all: all, &page)
    writeWarnings(&page)
    Self.write(before, "before", &page)
    Self.write(after, "after", &page)
    if before.restated == after.restated {
      Self.writeRestated(before, of: "on both sides", &page)
    } else {
      Self.writeRestated(before, of: "before", &page)
      Self.writeRestated(after, of: "after", &page)
    }
    for note in notes + [Self.course] {
      page.blank()
      page.line(note)
    }
    return page.rendered
  }

  /// Who decides which calls are made.
  package static let course =
    "The recording is replayed by the model of the kernel that was traced, which decides the course; both sides get the calls that it "
    + "makes, and what only one of them would cause later, such as another fault, is not among them."

  private static func write(_ recording: PatchRecording, _ page: inout TextPage) {
    page.blank()
    page.title(recording.path)
    let calls = "\(Quantity.count(recording.compared)) of \(Quantity.count(recording.calls)) calls compared"
    page.row("calls", "\(calls), of \(Quantity.count(recording.vms, "VM"))")
    page.row(
      "differences",
      recording.differing == 0
        ? "none"
        : "\(Quantity.count(recording.differing, "call")) in which the sides return or do something else")
    for lost in recording.lost {
      page.row("lost", "VM \(lost.vm): \(lost.side) \(lost.reason) in \(lost.words)", .bad)
      if let file = lost.reproducer { page.row("", "patch --reproduce \(file) shows it once more") }
    }
    for (kind, difference) in recording.firsts {
      write(difference, kind.map { "first \($0)" } ?? "first", &page)
    }
    guard !recording.differences.isEmpty else { return }
    page.blank()
    page.table(
      header: ["operation", "differs in", "calls"], alignRight: [false, false, true],
      rows: recording.differences.map { [$0.operation, $0.kind, Quantity.count($0.count)] })
  }

  private static func write(_ difference: PatchDifference, _ title: String, _ page: inout TextPage) {
    page.blank()
    page.heading("  \(title) difference: \(difference.kinds.joined(separator: ", "))")
    page.row("call", "\(Quantity.count(difference.call)): \(difference.words)")
    page.row("model", "returns \(difference.model)")
    if difference.sameEffects > 0 {
      page.row("both", "\(Quantity.count(difference.sameEffects, "effect")) alike, and then")
    }
    for (name, told) in [("before", difference.before), ("after", difference.after)] {
      page.row(name, told.outcome)
      for effect in told.effects.prefix(effectsMax) { page.line("                - \(effect)") }
      let rest = told.rest(behind: difference.sameEffects, lines: effectsMax)
      if rest > 0 { page.line("                and \(Quantity.count(rest)) more") }
    }
  }

  /// So many effects of a side are on the page.
  private static let effectsMax = 8

  private func writeFigures(all: Bool, _ page: inout TextPage) {
    let rows = comparison.rows.filter { all || $0.isWorthShowing }
    page.blank()
    if !rows.isEmpty { comparison.writeTable(of: rows, &page) }
    let hidden = comparison.rows.filter { !all && !$0.isWorthShowing }
    let unknown = hidden.count { $0.verdict == .unknown }
    for (count, what) in [
      (hidden.count - unknown, "the same on both sides"), (unknown, "not told by one of the sides"),
    ] where count > 0 {
      page.line("\(Quantity.count(count, "figure")) \(count == 1 ? "is" : "are") \(what) (--all shows them)")
    }
    for line in Comparison.kernelNotes(rows) {
      page.blank()
      page.line(line)
    }
  }

  private func writeWarnings(_ page: inout TextPage) {
    guard !warnings.isEmpty else { return }
    page.blank()
    page.table(
      header: ["warning", "before", "after"], alignRight: [false, true, true],
      rows: warnings.map { [$0.text, Quantity.count($0.before), Quantity.count($0.after)] })
  }

  private static func write(_ side: Side, _ word: String, _ page: inout TextPage) {
    page.blank()
    page.row(word, side.name + (side.path.map { " (\($0))" } ?? ", the model"))
    if let test = side.selfTest { page.row("self-test", test) }
  }

  private static func writeRestated(_ side: Side, of word: String, _ page: inout TextPage) {
    guard !side.restated.isEmpty else { return }
    page.blank()
    page.line("Restated, and not the kernel's own C, \(word):")
    for item in side.restated { page.item(item) }
  }
}
