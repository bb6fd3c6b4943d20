internal import KVMTypes

/// A fault whose window is open: what decides whether it concerns another event of its VM, in one place.
struct OpenFault: BitwiseCopyable {
  let fault: FaultID
  let thread: ThreadIndex
  let vm: VMIndex
  let gfn: GFN
}

/// The faults whose windows are open, in no order: one for each thread at most, so few.
struct OpenFaults {
  private var faults: ContiguousArray<OpenFault> = []

  var indices: Range<Int> { faults.indices }
  var all: [OpenFault] { Array(faults) }

  @inline(__always)
  subscript(position: Int) -> OpenFault { faults[position] }

  mutating func append(_ fault: OpenFault) { faults.append(fault) }

  mutating func remove(ofThread thread: ThreadIndex) {
    guard let position = faults.firstIndex(where: { $0.thread == thread }), let last = faults.popLast() else {
      return
    }
    if position < faults.count { faults[position] = last }
  }

  /// Calls `body` with each fault of a VM.
  @inline(__always)
  func forEach(of vm: VMIndex, _ body: (OpenFault) -> Void) {
    for position in faults.indices where faults[position].vm == vm { body(faults[position]) }
  }
}
