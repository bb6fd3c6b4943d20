internal import Glibc

/// Tells whether the records that two writers have with one stamp are of one event.
struct EventIdentity {
  /// Of events of which nothing but the number is known, and of damaged ones: nobody knows what they are.
  private static let unknown = -1

  /// By the numbers of events, where in a record the number of a lock is, which each writer gives out by itself; 0 where there is none.
  private let lockNumbers: [Int]

  /// - Parameter nameless: the positions in `formats` of the events of which nothing but the number is known.
  init(_ formats: CanonicalFormats, nameless: Set<Int>) {
    // A format's number is its position and one more.
    lockNumbers =
      [Self.unknown]
      + formats.events.enumerated().map { position, event in
        if nameless.contains(position) { return Self.unknown }
        let field = event.fields.firstIndex { $0.name == PerfettoEvents.FieldType.lockNumber }
        return field.map { event.offsets[$0] } ?? 0
      }
  }

  func areSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    guard one.count == other.count, let base = one.baseAddress, let otherBase = other.baseAddress else {
      return false
    }
    let number = Int(base.load(as: UInt16.self))
    let lock = number < lockNumbers.count ? lockNumbers[number] : Self.unknown
    guard lock > 0 else { return lock == 0 && memcmp(base, otherBase, one.count) == 0 }
    let behind = lock + MemoryLayout<UInt64>.size
    return memcmp(base, otherBase, lock) == 0
      && memcmp(base + behind, otherBase + behind, one.count - behind) == 0
  }
}
