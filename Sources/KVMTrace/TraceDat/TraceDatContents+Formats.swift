internal import KVMTypes

// What is wrong with the formats of events, and what that costs.

extension TraceDatContents {
  /// What to say of formats that are damaged: that do not say what they are of, or whose fields cannot lie where they say, or whose number
  /// is another one's; and of those of events that a replay needs whose fields cannot be read. Any other such format costs its own
  /// event alone, and is no damage of the trace. Nor are fields that it names and that are no numbers, where nobody here reads them; but one
  /// that places what all events begin with where no other does is.
  ///
  /// - Returns: the places, the positions of the formats, and whether a replay needs what one of them is of: then nothing is certain.
  func damage(of parsed: EventFormats) -> (places: [Damage], formats: Set<Int>, isNeeded: Bool) {
    let faults = parsed.faults
    var costs = faults.unparsed.map { FormatCost($0, isNeeded: isNeeded($0)) }
    costs += faults.misplaced.map { position, line in
      let field = declaration(at: line, of: position)
      return FormatCost(
        position, "its field \(field) cannot lie where it says; ", isNeeded: isNeeded(position))
    }
    let unreadable = faults.withoutFields.filter(isNeeded) + faults.withoutNumbers
    costs += unreadable.map { FormatCost($0, isNeeded: true) }
    costs += faults.renumbered.map {
      FormatCost($0, "it has the number of another event; ", isNeeded: true)
    }
    let others = parsed.common.contradicting.map {
      ($0, "it places what all events begin with elsewhere than other formats, which are believed")
    }
    // What costs most is told of each.
    var told: Set<Int> = []
    let places = (costs.map { ($0.position, $0.words) } + others).filter { told.insert($0.0).inserted }
    return (
      places.sorted { $0.0 < $1.0 }.map { damage(ofFormat: $0, $1) }, told, costs.contains(where: \.isNeeded)
    )
  }

  /// That the events of a damaged format are only counted.
  private struct FormatCost {
    let position: Int
    /// What is wrong with it, where there is more to say.
    let reason: String
    /// Whether a replay reads them.
    let isNeeded: Bool

    init(_ position: Int, _ reason: String = "", isNeeded: Bool) {
      (self.position, self.reason, self.isNeeded) = (position, reason, isNeeded)
    }

    var words: String {
      reason + "its events are only counted"
        + (isNeeded ? ", and a replay lacks them: nothing is certain" : "")
    }
  }

  private func damage(ofFormat position: Int, _ cost: String) -> Damage {
    let format = formats[position]
    return Damage(
      offset: format.offset,
      what: "a format of the system \(format.system) is damaged (\(name(ofFormat: position))); \(cost)")
  }

  /// Whether a replay reads the events of a format, or its text does not say which these are. A probe bears a name that its setter chose,
  /// which other events may have.
  private func isNeeded(_ position: Int) -> Bool {
    let (first, format) = (name(ofFormat: position), formats[position])
    guard first.hasPrefix(Self.label) else { return true }
    let name = String(first.dropFirst(Self.label.count))
    return EventSchema.all.contains { schema in
      schema.names.contains(name)
        && (schema.system.map { $0 == format.system } ?? Self.isProbe(format.text))
    }
  }

  private static let label = "name "

  private static func isProbe(_ text: UnsafeRawBufferPointer) -> Bool {
    String(decoding: text, as: UTF8.self).contains(" __probe_")
  }

  /// The first line of a format, as far as it can be shown.
  private func name(ofFormat position: Int) -> String { shown(formats[position].text[...], until: "\n") }

  /// The type and name of the field whose line begins at `line` of a format.
  private func declaration(at line: Int, of position: Int) -> String {
    let text = formats[position].text[line...].drop { $0 != UInt8(ascii: ":") }
    return shown(text.dropFirst(), until: ";")
  }

  private func shown(_ text: Slice<UnsafeRawBufferPointer>, until end: Unicode.Scalar) -> String {
    let bytes = text.prefix { $0 != UInt8(ascii: end) }.prefix(48)
    return String(
      decoding: bytes.filter { FormatSource.isWord($0) || " *[]".utf8.contains($0) }, as: UTF8.self)
  }
}
