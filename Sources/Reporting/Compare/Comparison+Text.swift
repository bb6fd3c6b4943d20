internal import KVMTypes

extension Comparison {
  /// The comparison as a page of text: the figures that differ, then how many do not.
  public func text(all: Bool, in form: PageForm = .filed) -> String {
    var page = TextPage(form)
    page.title("\(before.title)  ->  \(after.title)")
    let shown = rows.filter { all || $0.isWorthShowing }
    if !shown.isEmpty { writeTable(of: shown, &page) }
    let hidden = rows.filter { !all && !$0.isWorthShowing }
    let unknown = hidden.count { $0.verdict == .unknown }
    for (count, verb, what) in [
      (
        hidden.count - unknown, hasNoiseFloor ? ("does", "do") : ("is", "are"),
        hasNoiseFloor ? "not differ by more than the noise" : "the same on both sides"
      ), (unknown, ("is", "are"), "unknown on one of the sides"),
    ] where count > 0 {
      page.line(
        "\(count)\(shown.isEmpty ? "" : " more") figure\(count == 1 ? " \(verb.0)" : "s \(verb.1)") \(what) (--all shows them)"
      )
    }
    if rows.isEmpty { page.line("no figure of either side is known") }
    for note in statements {
      page.blank()
      page.line(note)
    }
    for line in subject == .kernels ? Self.kernelNotes(shown) : [noiseNote] {
      page.blank()
      page.line(line)
    }
    return page.rendered
  }

  /// The figures of some rows as a table.
  func writeTable(of shown: [Row], _ page: inout TextPage) {
    let noise = hasNoiseFloor
    page.table(
      header: ["", "before", "after", "difference", ""] + (noise ? ["noise"] : []) + ["kind"],
      alignRight: [false, true, true, true, true] + (noise ? [true] : []) + [false],
      rows: shown.map { row in
        [
          row.metric.name, row.text(row.before), row.text(row.after), row.differenceText, row.relativeText,
        ] + (noise ? [row.noiseText] : []) + [row.kindText]
      },
      spare: [3, SpareColumns([4], called: "percent")] + (noise ? [5] : [])
        + [SpareColumns([noise ? 6 : 5], called: "kind"), 1],
      style: { position, column in
        column == (noise ? 6 : 5) && shown[position].verdict == .differs && noise ? .bad : nil
      })
  }

  /// What the kinds of difference among the rows say.
  static func kernelNotes(_ rows: [Row]) -> [String] {
    var notes: [String] = []
    if rows.contains(where: { $0.kind == .range }) { notes.append("A range: \(Row.Kind.range.meaning)") }
    if rows.contains(where: { $0.kind == .assumed }) { notes.append("assumed: \(Row.Kind.assumed.meaning)") }
    return notes
  }

  /// What chance makes of the differences between recordings.
  package var noiseNote: String {
    guard hasNoiseFloor else {
      return
        "One recording a side: there is no noise floor, so nothing tells a difference from chance, which moves every "
        + "figure from run to run of the same kernel. Give several a side with --before and --after."
    }
    let counts = "\(before.replays.count) and \(after.replays.count) recordings"
    return
      "Means of \(counts). Noise is what chance makes of their difference with 99 % confidence: Student's t times its "
      + "standard error, from the spread within the sides. Beyond it, with no value of one side among those of the other, a "
      + "difference is marked; of 100 figures that do not differ one may be all the same."
  }
}

extension Comparison.Side {
  fileprivate var title: String { replays.count > 1 ? "\(name) (\(replays.count) recordings)" : name }
}

extension Comparison.Row.Kind {
  /// What the word says of a difference.
  package var meaning: String {
    switch self {
    case .exact: "the trace decides both sides."
    case .range:
      "the trace does not tell which pages of a recorded block the guest touched, or whether the host's "
        + "memory was huge where the traced kernel maps pages only. Its ends assume the least and the most."
    case .assumed:
      "the trace does not decide all of what the figure rests on, such as which vCPU was first or whether a page "
        + "could be written; it is the model's by its rules on both sides."
    case .measured: "each recording is a run of its own, and chance moves every figure from run to run."
    case .unknown: "one of the sides was not recorded."
    }
  }
}

extension Comparison.Row.Verdict {
  /// The word for a difference between recordings.
  fileprivate var word: String {
    switch self {
    case .differs: "differs"
    case .withinNoise: "within the noise"
    case .same: "the same"
    case .noNoiseFloor, .mayDiffer: "no noise floor"
    case .unknown: "not recorded"
    }
  }

  /// What the word says of a difference between recordings.
  fileprivate var meaning: String {
    switch self {
    case .differs:
      "the difference is beyond the noise floor, and no value of one side lies among those of the other."
    case .withinNoise: "chance alone may account for the difference."
    case .same: "every recording has the same value."
    case .noNoiseFloor, .mayDiffer:
      "there is one recording a side, so nothing tells the difference from chance."
    case .unknown: "a recording of one of the sides does not have the figure."
    }
  }
}

extension Comparison.Row {
  /// Whether there is, or may be, a difference that somebody who compares wants to see.
  package var isWorthShowing: Bool {
    switch verdict {
    case .differs, .mayDiffer, .noNoiseFloor: true
    case .same, .withinNoise, .unknown: false
    }
  }

  /// A side's figure: of recordings their mean, of kernels what the trace allows.
  package func text(_ figure: Comparison.Figure?) -> String {
    guard let figure else { return "unknown" }
    if subject == .recordings { return text(figure.mean) }
    return figure.least == figure.most
      ? text(figure.least) : "\(text(figure.least)) .. \(text(figure.most))"
  }

  private func text(_ value: Double) -> String {
    let whole = UInt64(nearest: value)
    return switch metric.unit {
    case .count, .pages: Quantity.count(whole)
    case .bytes: Quantity.bytes(whole)
    case .nanoseconds: Quantity.duration(whole)
    case .share: Quantity.share(value)
    }
  }

  private func signed(_ value: Double) -> String {
    (value < 0 ? "-" : value > 0 ? "+" : "") + amount(value.magnitude)
  }

  /// An amount by which figures differ: of shares, percentage points.
  private func amount(_ value: Double) -> String {
    metric.unit == .share ? Quantity.points(value) : text(value)
  }

  /// The difference with its sign; nothing where a side is unknown.
  package var differenceText: String {
    guard let difference else { return "" }
    if subject == .recordings {
      let middle = (difference.least + difference.most) / 2
      return isRoundingTooMuch ? (middle < 0 ? "-" : "+") + exact(middle.magnitude) : signed(middle)
    }
    return difference.least == difference.most
      ? signed(difference.least) : "\(signed(difference.least)) .. \(signed(difference.most))"
  }

  /// The difference in percent with its sign; nothing where the first side is nothing, or unknown.
  package var relativeText: String {
    guard let relative else { return "" }
    if subject == .recordings { return Quantity.signedPercent((relative.least + relative.most) / 2) }
    return relative.least == relative.most
      ? Quantity.signedPercent(relative.least)
      : "\(Quantity.signedPercent(relative.least)) .. \(Quantity.signedPercent(relative.most))"
  }

  /// What chance makes of the difference; nothing without a noise floor.
  package var noiseText: String {
    noise.map { "+-" + (isRoundingTooMuch ? exact($0) : amount($0)) } ?? ""
  }

  /// Whether a difference and its noise are one text, though it is beyond the noise, or below it.
  private var isRoundingTooMuch: Bool {
    guard let noise, let difference else { return false }
    let middle = abs(difference.least + difference.most) / 2
    return middle != noise && amount(middle) == amount(noise)
  }

  /// An amount with as many digits as tell the difference from the noise, in the unit itself.
  private func exact(_ value: Double) -> String {
    guard let noise, let difference else { return amount(value) }
    let (factor, unit) =
      switch metric.unit {
      case .share: (100.0, " pp")
      case .bytes: (1.0, " B")
      case .nanoseconds: (1.0, " ns")
      case .count, .pages: (1.0, "")
      }
    let middle = abs(difference.least + difference.most) / 2 * factor
    let digits = (1...9).first {
      Quantity.fixed(middle, digits: $0) != Quantity.fixed(noise * factor, digits: $0)
    }
    return Quantity.fixed(value * factor, digits: digits ?? 9) + unit
  }

  /// The difference as a threshold sees it, in percent or as a number: `+0.0 % to +105.6 %`.
  func found(isRelative: Bool) -> String {
    let ends: [String]
    if isRelative, let relative {
      ends = [relative.least, relative.most].map { Quantity.signedPercent($0) }
    } else if isRelative {
      return after?.most == 0 ? "nothing on both sides" : "from nothing to " + text(after)
    } else if let difference {
      ends = [difference.least, difference.most].map(signed)
    } else {
      return "unknown"
    }
    return ends[0] == ends[1] ? ends[0] : "\(ends[0]) to \(ends[1])"
  }

  /// What the difference is worth, in a word or a few.
  package var kindText: String { subject == .recordings ? verdict.word : kind.rawValue }

  /// What that word says.
  package var kindMeaning: String { subject == .recordings ? verdict.meaning : kind.meaning }
}
