/// A fault that is settled, read where it lies in its batch. It has some 300 bytes, which every function that is handed it while it
/// changes what is known of the VM would copy for itself.
///
/// Invariant: it is used only while the batch is executed that made it; nothing changes a batch meanwhile.
@dynamicMemberLookup
struct SettledFault {
  private let fault: UnsafePointer<DecidedFault>

  init(at fault: UnsafePointer<DecidedFault>) { self.fault = fault }

  /// What events say of it.
  subscript<Field>(dynamicMember field: KeyPath<FaultWindow, Field>) -> Field {
    @inline(__always) get { fault.pointee.window[keyPath: field] }
  }

  /// All that events say of it.
  var window: FaultWindow { fault.pointee.window }

  /// What becomes of it.
  var decision: FaultDecision {
    @inline(__always) _read { yield fault.pointee.decision }
  }
}
