internal import KVMTrace
internal import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// Events that a trace does not record, and what that costs.
  public struct MissingEntry: Encodable, Sendable {
    /// The events, as `system:name`.
    public var events: [String]
    /// Whether operations and memory are less certain, or unknown, without them.
    public var essential: Bool
    /// What is not known without them.
    public var cost: String
    /// Why they are missing, in words, where it is not that they were not recorded.
    public var why: String?

    init(_ missing: MissingEvents) {
      events = missing.events
      essential = missing.isEssential
      cost = missing.cost
      why = missing.reason == .notRecorded ? nil : missing.why
    }

    /// One line.
    package var statement: String {
      "\(events.joined(separator: ", "))\(why.map { " (\($0))" } ?? ""): \(cost)"
    }
  }

  /// Calls of the MMU notifier, by kind; nil of a kind that was not recorded.
  public struct NotifiersEntry: Encodable, Sendable {
    /// `kvm_unmap_hva_range`, and `kvm_set_spte_hva`.
    public var unmap: Int?
    /// `kvm_age_hva`.
    public var age: Int?
    /// `kvm_test_age_hva`.
    public var testAge: Int?

    init(_ counts: NotifierCounts, missing: Set<EventKind>) {
      unmap = missing.contains(.unmapHVARange) ? nil : counts.unmap
      age = missing.contains(.ageHVA) ? nil : counts.age
      testAge = missing.contains(.testAgeHVA) ? nil : counts.testAge
    }

    /// All that are known.
    var total: Int { [unmap, age, testAge].reduce(0) { $0 + ($1 ?? 0) } }

    /// "1,200 unmap, 34 age".
    var words: String {
      [("unmap", unmap), ("age", age), ("test age", testAge)]
        .compactMap { name, count in count.flatMap { $0 > 0 ? "\(Quantity.count($0)) \(name)" : nil } }
        .joined(separator: ", ")
    }

    static func += (sum: inout Self, other: Self) {
      sum.unmap = sum.unmap.adding(other.unmap)
      sum.age = sum.age.adding(other.age)
      sum.testAge = sum.testAge.adding(other.testAge)
    }
  }

  /// Recorded holds of locks of which it is not known whose they are.
  public struct UnattributedHoldsEntry: Encodable, Sendable {
    /// How many.
    public var count = 0
    /// Their times, summed.
    public var heldNs: UInt64 = 0

    /// None.
    init() {}

    init(_ holds: UnattributedHolds) {
      count = holds.count
      heldNs = holds.total.rawValue
    }

    static func += (sum: inout Self, other: Self) {
      sum.count += other.count
      sum.heldNs &+= other.heldNs
    }
  }
}
