internal import KVMTrace
internal import Stage2Model

/// How a trace records the kernel's own operations.
struct ProbeRecording {
  /// Not at all.
  static let none = ProbeRecording(kinds: [], hasEarlyProtBits: false)

  /// The probes that there can be, as far as the source says so: of another one none was recorded.
  private let kinds: Set<EventKind>
  /// Whether rights are recorded as kernels before 6.19 numbered them.
  let hasEarlyProtBits: Bool
  /// Whether there can be any.
  let isAny: Bool

  private init(kinds: Set<EventKind>, hasEarlyProtBits: Bool, isAny: Bool = false) {
    (self.kinds, self.hasEarlyProtBits, self.isAny) = (kinds, hasEarlyProtBits, isAny)
  }

  init(_ source: some EventSource) {
    guard source.hasOperationProbes else {
      self = .none
      return
    }
    let isEarly = KernelRelease(uname: source.uname).map { $0 < KernelRelease(major: 6, minor: 19) } ?? false
    self.init(kinds: source.account.kinds ?? [], hasEarlyProtBits: isEarly, isAny: true)
  }

  /// Whether the calls of a function were recorded, should there be any.
  func records(_ kind: OperationKind) -> Bool { kinds.contains { $0.operation == kind } }

  /// Whether it was recorded, too, how long they took.
  func times(_ kind: OperationKind) -> Bool {
    records(kind) && kinds.contains { $0.returnedOperation == kind }
  }
}
