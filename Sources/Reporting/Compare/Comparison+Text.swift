extension Comparison {
  /// The comparison as a page of text: the figures that differ, then how many do not.
  public func text(all: Bool) -> String {
    var page = TextPage()
    page.title("\(before.title)  ->  \(after.title)")
    let shown = rows.filter { all || $0.isWorthShowing }
    let noise = hasNoiseFloor
    page.table(
      header: ["", "before", "after", "difference", ""] + (noise ? ["noise"] : []) + ["kind"],
      alignRight: [false, true, true, true, true] + (noise ? [true] : []) + [false],
      rows: shown.map { row in
        [
          row.metric.name, row.text(row.before), row.text(row.after), row.differenceText, row.relativeText,
        ] + (noise ? [row.noiseText] : []) + [row.kindText]
      })
    let rest = rows.count - shown.count
    if rest > 0 {
      let what = noise ? "do not differ by more than the noise" : "are the same on both sides"
      page.line("\(rest) more figure\(rest == 1 ? "" : "s") \(what) (--all shows them)")
    }
    for line in subject == .kernels ? kernelNotes : recordingNotes {
      page.blank()
      for part in line { page.line(part) }
    }
    return page.text
  }

  private var kernelNotes: [[String]] {
    var notes: [[String]] = []
    if rows.contains(where: { $0.kind == .range }) {
      notes.append([
        "A range: the trace does not tell which pages of a recorded block the guest touched, or whether the host's",
        "memory was huge where the traced kernel maps pages only. Its ends assume the least and the most.",
      ])
    }
    if rows.contains(where: { $0.kind == .assumed }) {
      notes.append([
        "assumed: the trace does not decide all of what the figure rests on, such as which vCPU was first or whether",
        "a page could be written; it is the model's by its rules on both sides.",
      ])
    }
    return notes
  }

  private var recordingNotes: [[String]] {
    guard hasNoiseFloor else {
      return [
        [
          "One recording a side: there is no noise floor, so nothing tells a difference from chance, which moves every",
          "figure from run to run of the same kernel. Give several a side with --before and --after.",
        ]
      ]
    }
    let counts = "\(before.replays.count) and \(after.replays.count) recordings"
    return [
      [
        "Means of \(counts). Noise is what chance makes of their difference with 99 % confidence: Student's t",
        "times its standard error, from the spread within the sides. Beyond it, with no value of one side among",
        "those of the other, a difference is marked; of 100 figures that do not differ one may be all the same.",
      ]
    ]
  }
}

extension Comparison.Side {
  fileprivate var title: String { replays.count > 1 ? "\(name) (\(replays.count) recordings)" : name }
}

extension Comparison.Row {
  fileprivate var isWorthShowing: Bool {
    switch verdict {
    case .differs, .mayDiffer, .noNoiseFloor: true
    case .same, .withinNoise, .unknown: false
    }
  }

  func text(_ figure: Comparison.Figure?) -> String {
    guard let figure else { return "unknown" }
    if subject == .recordings { return text(figure.mean) }
    return figure.least == figure.most
      ? text(figure.least) : "\(text(figure.least)) .. \(text(figure.most))"
  }

  private func text(_ value: Double) -> String {
    let whole = UInt64(max(value, 0).rounded())
    return switch metric.unit {
    case .count, .pages: Quantity.count(whole)
    case .bytes: Quantity.bytes(whole)
    case .nanoseconds: Quantity.duration(whole)
    case .share: Quantity.share(value)
    }
  }

  private func signed(_ value: Double) -> String {
    (value < 0 ? "-" : value > 0 ? "+" : "") + text(value.magnitude)
  }

  fileprivate var differenceText: String {
    guard let difference else { return "" }
    if subject == .recordings { return signed((difference.least + difference.most) / 2) }
    return difference.least == difference.most
      ? signed(difference.least) : "\(signed(difference.least)) .. \(signed(difference.most))"
  }

  fileprivate var relativeText: String {
    guard let relative else { return "" }
    if subject == .recordings { return Quantity.signedPercent((relative.least + relative.most) / 2) }
    return relative.least == relative.most
      ? Quantity.signedPercent(relative.least)
      : "\(Quantity.signedPercent(relative.least)) .. \(Quantity.signedPercent(relative.most))"
  }

  fileprivate var noiseText: String { noise.map { "+-\(text($0))" } ?? "" }

  fileprivate var kindText: String {
    guard subject == .recordings else { return kind.rawValue }
    return switch verdict {
    case .differs: "differs"
    case .withinNoise: "within the noise"
    case .same: "the same"
    case .noNoiseFloor, .mayDiffer: "no noise floor"
    case .unknown: "not recorded"
    }
  }
}
