package import KVMTypes

/// What a copy says of the recording that it was made of: where that has no sub-buffers, for how large those of the copy are tells
/// nothing of the host's pages, nor the formats of its events which were recorded; and where it is damaged, for the damage is not in the
/// copy.
///
/// It stands where a recorder says its version, which trace-cmd shows and goes by in nothing: `pkvm-replay:copy page_size=BYTES
/// sub_buffers=kept kinds=seen losses=unknown losses_why=REASON damaged=PLACES damage_gaps=LOSSES uncertain_from=STAMP`.
package struct CopyOrigin: Hashable {
  /// What a copy says of the damage of the recording.
  package struct Damaged: Hashable {
    /// How many places of the recording are damaged; 0 where `uncertainFrom` is for a loss alone, of which the copy cannot say where it
    /// begins.
    package var places: Int
    /// How many of the losses in the copy stand for damage: there the kernel lost nothing.
    package var gaps: Int
    /// From when on a replay of the recording is certain of nothing; nil where losses alone tell what is missing.
    package var uncertainFrom: Nanoseconds?

    /// Damage at so many places.
    package init(places: Int, gaps: Int, uncertainFrom: Nanoseconds?) {
      (self.places, self.gaps, self.uncertainFrom) = (places, gaps, uncertainFrom)
    }
  }

  /// The size of the host's pages, as the recording told it; nil where it did not.
  package var pageSize: PageSize?

  /// Whether the recording has sub-buffers, as large as those of the copy.
  package let hasSubBuffers: Bool

  /// Whether the recording said which events there can be; otherwise there are formats of those that it has.
  package let listsKinds: Bool

  /// Why the recording did not say where events were lost; nil where it did.
  package let untoldLosses: UntoldLosses.Reason?

  /// How the recording was damaged, nil where it was not.
  package var damaged: Damaged?

  init(
    pageSize: PageSize?, hasSubBuffers: Bool = false, listsKinds: Bool, untoldLosses: UntoldLosses.Reason?
  ) {
    self.pageSize = pageSize
    self.hasSubBuffers = hasSubBuffers
    self.listsKinds = listsKinds
    self.untoldLosses = untoldLosses
  }

  /// Reads what stands there; nil where it is a recorder's version.
  init?(_ text: String) {
    let words = text.split { $0.isWhitespace }
    guard let first = words.first, first == Self.prefix else { return nil }
    func value(of key: String) -> Substring? {
      words.first { $0.hasPrefix(key) }.map { $0.dropFirst(key.count) }
    }
    func number(of key: String) -> UInt64? { value(of: key).flatMap { UInt64($0) } }
    // Sums of them are made: a forged one must not be near the end of the numbers.
    func count(of key: String) -> Int? { number(of: key).map { Int(clamping: min($0, 1 << 32)) } }
    pageSize = number(of: Self.key).flatMap { PageSize(bytes: $0) }
    hasSubBuffers = words.contains { $0 == Self.keptSubBuffers }
    listsKinds = !words.contains { $0 == Self.seenKinds }
    untoldLosses =
      words.contains { $0 == Self.unknownLosses }
      ? value(of: Self.why).flatMap { UntoldLosses.Reason(rawValue: String($0)) } ?? .unknown : nil
    let (places, gaps) = (count(of: Self.damagedPlaces), count(of: Self.damageGaps) ?? 0)
    // What cannot be read may be any moment.
    let uncertain = value(of: Self.uncertain).map { UInt64($0) ?? 0 }
    // What damage took, it took at a place at least, whatever somebody wrote.
    if places ?? 0 > 0 || gaps > 0 || uncertain != nil {
      damaged = Damaged(
        places: gaps > 0 ? max(1, places ?? 0) : places ?? 1, gaps: gaps,
        uncertainFrom: uncertain.map { Nanoseconds($0) })
    }
  }

  /// What a copy writes there.
  package var text: String {
    var words = ["\(Self.prefix)", "\(Self.key)\(pageSize.map { String($0.bytes) } ?? "unknown")"]
    if hasSubBuffers { words.append(Self.keptSubBuffers) }
    if !listsKinds { words.append(Self.seenKinds) }
    if let untoldLosses { words += [Self.unknownLosses, "\(Self.why)\(untoldLosses.rawValue)"] }
    if let damaged {
      words += ["\(Self.damagedPlaces)\(damaged.places)", "\(Self.damageGaps)\(damaged.gaps)"]
      if let from = damaged.uncertainFrom { words.append("\(Self.uncertain)\(from.rawValue)") }
    }
    return words.joined(separator: " ")
  }

  private static let prefix = "\(TraceMarker.prefix)copy"
  private static let key = "page_size="
  private static let keptSubBuffers = "sub_buffers=kept"
  private static let seenKinds = "kinds=seen"
  private static let why = "losses_why="
  private static let unknownLosses = "losses=unknown"
  private static let damagedPlaces = "damaged="
  private static let damageGaps = "damage_gaps="
  private static let uncertain = "uncertain_from="
}
