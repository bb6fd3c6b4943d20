internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// How the figures of a replay are known: as the weakest of what they rest on.
///
/// Under another kernel, operations of accesses are as certain as the accesses; that kernel's answer follows.
struct Certainty {
  private let vms: [VMResult]
  private let isOtherKernel: Bool
  private let isWholeTraceAttributed: Bool
  private let isIPASizeKnown: Bool

  /// Of a whole replay, or of one of its VMs.
  init(_ result: ReplayResult, of vm: VMResult? = nil) {
    vms = vm.map { [$0] } ?? result.vms
    isOtherKernel = result.isOtherKernel
    isWholeTraceAttributed = result.unattributedFaults == 0
    isIPASizeKnown = (result.profile.basis[.ipaBits] ?? .assumed) <= .derived
  }

  private static func basis(_ isCertain: Bool, _ certain: Basis = .derived) -> Basis {
    isCertain ? certain : .assumed
  }

  /// Of which VMs there are.
  var slots: Basis {
    Self.basis(
      !vms.isEmpty && vms.allSatisfy { !$0.slots.isEmpty && $0.slots.allSatisfy { $0.basis <= .derived } })
  }

  /// Of the number of faults: recorded, or what the accesses take under another kernel.
  var faults: Basis {
    isOtherKernel
      ? Self.basis(areAccessesCertain && areRightsCertain) : Self.basis(isWholeTraceAttributed, .recorded)
  }

  /// Of the number of calls of one function.
  func operations(_ kind: OperationKind) -> Basis {
    switch kind {
    case .map where isOtherKernel, .mkyoung where isOtherKernel: Self.basis(areAccessesCertain)
    case .relaxPerms where isOtherKernel: Self.basis(areAccessesCertain && areRightsCertain)
    case .map, .relaxPerms, .mkyoung: Self.basis(isDecided(kind) && areOutcomesCertain)
    case .unmap, .wrprotect, .testClearYoung, .flush, .split: Self.basis(isDecided(kind))
    }
  }

  /// Of what all operations together come to.
  var allOperations: Basis { OperationKind.allCases.map { operations($0) }.max() ?? .derived }

  /// Whether the trace tells what is mapped at all: without faults, or slots for them, it does not.
  var tellsTables: Bool { vms.allSatisfy(\.isTableKnown) }

  /// Of which tables there are: of the path, the page size, and what was there before.
  private var tables: Basis { vms.map(\.tableBasis).max() ?? .derived }

  /// Of hypercalls.
  var hypercalls: Basis { max(allOperations, tables) }

  /// Of mappings and tables, which access flags and rights do not change.
  var memory: Basis {
    [OperationKind.map, .unmap, .wrprotect, .split].map { operations($0) }.reduce(tables, max)
  }

  /// Of all bytes: the PGD is among them.
  var totalBytes: Basis { isIPASizeKnown ? memory : .assumed }

  /// Of the pages that faults show in use.
  var touched: Basis {
    isOtherKernel ? Self.basis(areAccessesCertain) : max(operations(.map), operations(.mkyoung))
  }

  private func isDecided(_ kind: OperationKind) -> Bool {
    vms.allSatisfy { ($0.operations[kind]?.assumed ?? 0) == 0 }
  }

  private var areOutcomesCertain: Bool {
    isWholeTraceAttributed && vms.allSatisfy { $0.doubts.outcomes == 0 }
  }

  private var areAccessesCertain: Bool {
    areOutcomesCertain && vms.allSatisfy { $0.doubts.accesses == 0 }
  }

  private var areRightsCertain: Bool { vms.allSatisfy { $0.doubts.rights == 0 } }
}
