internal import Stage2Replay

extension ReplayReport {
  /// Events that a trace does not record, and what that costs.
  public struct MissingEntry: Encodable, Sendable {
    var events: [String]
    /// Whether operations and memory are less certain, or unknown, without them.
    var essential: Bool
    var cost: String

    init(_ missing: MissingEvents) {
      events = missing.events
      essential = missing.isEssential
      cost = missing.cost
    }

    /// One line.
    var statement: String { "\(events.joined(separator: ", ")): \(cost)" }
  }

  /// Calls of the MMU notifier, by kind.
  public struct NotifiersEntry: Encodable, Sendable {
    var unmap: Int
    var age: Int
    var testAge: Int

    init(_ counts: NotifierCounts) {
      unmap = counts.unmap
      age = counts.age
      testAge = counts.testAge
    }

    var total: Int { unmap + age + testAge }

    /// "1,234 on memory in no known slot: 1,200 unmap, 34 age".
    var words: String {
      let parts = [("unmap", unmap), ("age", age), ("test age", testAge)].filter { $0.1 > 0 }
      return "\(Quantity.count(total)) on memory in no known slot: "
        + parts.map { "\(Quantity.count($0.1)) \($0.0)" }.joined(separator: ", ")
    }

    static func += (sum: inout Self, other: Self) {
      sum.unmap += other.unmap
      sum.age += other.age
      sum.testAge += other.testAge
    }
  }
}
