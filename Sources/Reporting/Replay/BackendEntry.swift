package import ForeignStage2
internal import KVMTypes
internal import Stage2Model

extension ReplayReport {
  /// A shared object whose stage-2 MMU stood in the place of the model's.
  public struct BackendEntry: Encodable, Sendable {
    /// What it calls itself.
    public var name: String
    /// The file.
    public var path: String
    /// What of it is not the kernel's own C, item by item.
    public var restated: [String]
    /// VMs in which its kernel stopped; nil where it did in none.
    public var stops: [StopEntry]?
    /// What it warned of, VM by VM; nil where it did not.
    public var warnings: [WarningEntry]?

    /// The kernel stopped in a VM.
    public struct StopEntry: Encodable, Sendable {
      /// The position in `inputs`, where there are several.
      public var input: Int?
      /// The VM.
      public var vm: Int
      /// The stamp of what was called for; nil where that is no event.
      public var timeNs: UInt64?
      /// Where and why, as the backend says.
      public var text: String
    }

    /// The kernel warned in a VM.
    public struct WarningEntry: Encodable, Sendable {
      /// The position in `inputs`, where there are several.
      public var input: Int?
      /// The VM.
      public var vm: Int
      /// File and condition.
      public var text: String
      /// How often.
      public var count: Int
    }

    /// A shared object, and what its kernel told of itself in VMs.
    package init(_ library: BackendLibrary, _ logs: [(vm: Int, log: KernelLog)]) {
      name = library.name
      path = library.path
      restated = library.restated
      let stops = logs.compactMap { vm, log in
        log.panic.map { StopEntry(vm: vm, timeNs: log.panicCause?.time.rawValue, text: $0.words) }
      }
      let warnings = logs.flatMap { vm, log in
        log.warnings.map { WarningEntry(vm: vm, text: $0.words, count: $1) }.sorted { $0.text < $1.text }
      }
      self.stops = stops.isEmpty ? nil : stops
      self.warnings = warnings.isEmpty ? nil : warnings
    }

    /// That of several inputs together: what its kernel told in the VMs of each.
    static func sum(_ entries: [BackendEntry?]) -> BackendEntry? {
      guard var sum = entries.compactMap(\.self).first else { return nil }
      (sum.stops, sum.warnings) = (nil, nil)
      for (position, entry) in entries.enumerated() {
        for var stop in entry?.stops ?? [] {
          stop.input = position
          sum.stops = (sum.stops ?? []) + [stop]
        }
        for var warning in entry?.warnings ?? [] {
          warning.input = position
          sum.warnings = (sum.warnings ?? []) + [warning]
        }
      }
      return sum
    }
  }
}

extension ReplayReport.BackendEntry {
  /// In a sentence.
  var statement: String {
    "in the place of the model's stage 2 stood that of \(name) (\(path)): memory and what calls return are its own"
  }

  /// That its kernel stopped, and where it did first; nil where it did not.
  package var stopped: String? {
    guard let stops, let first = stops.first else { return nil }
    let more = stops.count > 1 ? ", and in \(Quantity.count(stops.count - 1, "other VM"))" : ""
    return "its kernel stopped in VM \(first.vm): \(first.text)\(more)"
  }

  /// Where its kernel stopped, and what is not known then: a sentence for each of the first VMs.
  func stopStatements(_ unit: StampUnit) -> [String] {
    Self.some(stops ?? []) { stop in
      "VM \(stop.vm): the kernel\(stop.timeNs.map { " at \(unit.stamp($0))" } ?? ""): \(stop.text); it was not called from there on: "
        + "what calls return then, memory and hypercalls of the VM are unknown"
    }
  }

  /// What its kernel warned of.
  var warningStatements: [String] {
    Self.some(warnings ?? []) { "VM \($0.vm): \($0.text), \(Quantity.count($0.count, "time"))" }
  }

  /// So many are told in words; the JSON has all.
  private static let toldMax = 8

  private static func some<Entry>(_ entries: [Entry], _ words: (Entry) -> String) -> [String] {
    let rest = entries.count - toldMax
    return entries.prefix(toldMax).map(words)
      + (rest > 0 ? ["and \(Quantity.count(rest)) more, which --json lists"] : [])
  }
}
