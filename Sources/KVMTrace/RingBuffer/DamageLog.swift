internal import KVMTypes

/// The damaged places of one stream's pages.
struct DamageLog {
  /// How many places are kept.
  private static let placesMax = 256

  /// nil where the pages are not those of one CPU.
  let cpu: UInt16?
  /// The first places.
  private(set) var places: [Damage] = []
  /// How many of them have what is missing told by a loss of its own: events before and behind are as they were.
  private(set) var gapCount = 0
  /// How many places there are, also of those that are not kept.
  private(set) var count = 0
  /// At how many of all something is missing that nothing else tells of: neither a loss of its own, nor the stamps of the events.
  private(set) var lackCount = 0
  /// Whether something is missing behind the last event, and no page says so.
  private(set) var isEndMissing = false

  init(cpu: UInt16?) { self.cpu = cpu }

  mutating func report(at offset: Int, _ what: String) {
    lackCount += 1
    keep(Damage(offset: offset, cpu: cpu, what: what))
  }

  /// Reports pages that are missing between others.
  mutating func reportGap(at offset: Int, _ what: String) {
    if places.count < Self.placesMax { gapCount += 1 }
    keep(Damage(offset: offset, cpu: cpu, what: what))
  }

  /// Reports what is left out and no loss tells of: events before and behind are as they were.
  mutating func reportOmission(at offset: Int, _ what: String) {
    lackCount += 1
    reportGap(at: offset, what)
  }

  /// Reports that the time of a CPU goes back by more than its clock does.
  ///
  /// - Parameters:
  ///   - isShown: whether the stamps of the events show it by themselves.
  ///   - isOfTicks: whether the clock counts something else than nanoseconds.
  @inline(never)
  mutating func reportStepBack(
    of cpu: UInt16, at offset: Int, from: Nanoseconds, to: Nanoseconds, isShown: Bool = false,
    isOfTicks: Bool
  ) {
    let unit = isOfTicks ? "ticks" : "ns"
    if !isShown { lackCount += 1 }
    keep(
      Damage(
        offset: offset, cpu: self.cpu,
        what:
          "the time of CPU \(cpu) goes back by \((from - to).rawValue) \(unit), from \(from.rawValue) \(unit) to \(to.rawValue) \(unit)"
      ))
  }

  /// What was reported of the last lines, pages or chunks has no event behind it.
  mutating func missEnd() { isEndMissing = true }

  private mutating func keep(_ place: Damage) {
    count += 1
    if places.count < Self.placesMax { places.append(place) }
  }
}
