internal import KVMTypes

/// A fault whose window is open: what decides whether it concerns another event of its VM, in one place.
struct OpenFault: BitwiseCopyable {
  let fault: FaultID
  let thread: ThreadIndex
  let vm: VMIndex
  let gfn: GFN
}

/// The faults whose windows are open, in no order: one for each thread at most, so few.
struct OpenFaults: ~Copyable {
  private var faults = RecordStore<OpenFault>()

  var all: [OpenFault] { (0..<faults.count).map { faults[$0] } }

  @inline(__always)
  subscript(position: Int) -> OpenFault { faults[position] }

  /// Adds a fault, and returns its position.
  @inline(__always)
  mutating func append(_ fault: OpenFault) -> Int {
    faults.append(fault)
    return faults.count - 1
  }

  /// Takes out the fault at a position, which the last one gets.
  ///
  /// - Returns: the thread of the fault that moved, if one did.
  @inline(__always)
  mutating func remove(at position: Int) -> ThreadIndex? {
    guard let last = faults.popLast(), position < faults.count else { return nil }
    faults[position] = last
    return last.thread
  }

  /// Calls `body` with each fault of a VM.
  @inline(__always)
  func forEach(of vm: VMIndex, _ body: (OpenFault) -> Void) {
    for position in 0..<faults.count where faults[position].vm == vm { body(faults[position]) }
  }

  /// Whether a fault of a VM satisfies a condition.
  @inline(__always)
  func contains(of vm: VMIndex, where condition: (OpenFault) -> Bool) -> Bool {
    for position in 0..<faults.count where faults[position].vm == vm {
      if condition(faults[position]) { return true }
    }
    return false
  }
}
