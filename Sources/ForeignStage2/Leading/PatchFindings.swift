/// What came of one side.
package struct SideFindings {
  /// What it is: the backend's own name, or the profile's.
  package var name: String
  /// The file, nil of a model.
  package var path: String?
  /// What of it is not the kernel's own C.
  package var restated: [String]
  package var totals: SideTotals

  init(_ side: Side) {
    name = side.name
    totals = side.totals
    switch side.choice {
    case .child(let library, _), .local(let library): (path, restated) = (library.path, library.restated)
    case .model: (path, restated) = (nil, [])
    }
  }
}

/// What the two sides of a replay have in common, and in what they differ.
package struct PatchFindings {
  /// Calls that were handed on, and the VMs that they are of.
  package var calls: UInt64
  package var vms: Int
  /// Calls that were compared, and those that differ in anything.
  package var compared: UInt64
  package var differing: UInt64
  package var sides: [SideFindings]
  /// The first call after which the sides differ.
  package var first: Difference?
  /// The first of each kind, in the order of the kinds.
  package var firsts: [(kind: String, difference: Difference)]
  /// How often a function differed in something.
  package var counts: [(function: StageCall.Function, kind: String, count: UInt64)]
  /// VMs that a side could not go on with.
  package var lost: [LostVM]

  init(calls: UInt64, vms: Int, _ comparison: CallComparison, _ sides: [SideFindings], lost: [LostVM]) {
    self.calls = calls
    self.vms = vms
    compared = comparison.calls
    differing = comparison.differing
    self.sides = sides
    first = comparison.first
    firsts = DifferenceKinds.named.compactMap { kind, name in
      comparison.firsts[kind.rawValue].map { (name, $0) }
    }
    counts = StageCall.Function.allCases.flatMap { function in
      DifferenceKinds.named.compactMap { kind, name in
        comparison.counts[CallComparison.Count(function: function, kind: kind.rawValue)].map {
          (function, name, $0)
        }
      }
    }
    self.lost = lost
  }
}
