internal import KVMTypes
public import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// One of the longest holds of a VM's lock.
  public struct LongHoldEntry: Encodable, Sendable {
    /// When it began.
    public var timeNs: UInt64
    /// How long it was.
    public var heldNs: UInt64
    /// The thread.
    public var tid: Int32
    /// The processor on which it began.
    public var cpu: UInt16
    /// How the lock was held.
    public var mode: LockMode
    /// The stage-2 function that ran.
    public var operation: OperationKind
    /// The address that it was called with.
    public var ipa: UInt64
    /// The bytes, 0 for one that goes by the address alone.
    public var size: UInt64
  }

  /// One of the longest waits for it.
  public struct LongWaitEntry: Encodable, Sendable {
    /// When it began.
    public var timeNs: UInt64
    /// How long it was.
    public var waitedNs: UInt64
    /// The thread.
    public var tid: Int32
    /// The processor on which it began.
    public var cpu: UInt16
    /// How the lock was asked for.
    public var mode: LockMode
    /// What the thread did with the lock then, nil where no probe told.
    public var operation: OperationKind?
    /// Its address, else that of the fault that the thread was handling.
    public var ipa: UInt64?
    /// Who had the lock when the wait began, or was seen to have it first; nil where no probe told.
    public var holder: HolderEntry?
  }

  /// Who had the lock that another thread waited for.
  public struct HolderEntry: Encodable, Sendable {
    /// The thread.
    public var tid: Int32
    /// Its processor.
    public var cpu: UInt16
    /// The stage-2 function that it was in.
    public var operation: OperationKind
    /// The address that this was called with.
    public var ipa: UInt64
    /// The bytes, 0 for one that goes by the address alone.
    public var size: UInt64
  }
}

extension ReplayReport.LongHoldEntry {
  init(_ hold: RecordedHold) {
    timeNs = hold.time.rawValue
    heldNs = hold.duration.rawValue
    tid = hold.tid.rawValue
    cpu = hold.cpu.rawValue
    mode = hold.mode
    operation = hold.operation.kind
    ipa = hold.operation.address.rawValue
    size = hold.operation.size
  }
}

extension ReplayReport.LongWaitEntry {
  init(_ wait: RecordedWait) {
    timeNs = wait.time.rawValue
    waitedNs = wait.duration.rawValue
    tid = wait.tid.rawValue
    cpu = wait.cpu.rawValue
    mode = wait.mode
    operation = wait.operation?.kind
    ipa = (wait.operation?.address ?? wait.faultAddress)?.rawValue
    holder = wait.holder.map {
      ReplayReport.HolderEntry(
        tid: $0.tid.rawValue, cpu: $0.cpu.rawValue, operation: $0.operation.kind,
        ipa: $0.operation.address.rawValue, size: $0.operation.size)
    }
  }
}
