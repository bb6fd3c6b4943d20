internal import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// One of the longest holds of a VM's lock.
  public struct LongHoldEntry: Encodable, Sendable {
    var timeNs: UInt64
    var heldNs: UInt64
    var tid: Int32
    var cpu: UInt16
    var mode: String
    var operation: String
    var ipa: UInt64
    var size: UInt64
  }

  /// One of the longest waits for it.
  public struct LongWaitEntry: Encodable, Sendable {
    var timeNs: UInt64
    var waitedNs: UInt64
    var tid: Int32
    var cpu: UInt16
    var mode: String
    /// What the thread did with the lock then, nil where no probe told.
    var operation: String?
    /// Its address, else that of the fault that the thread was handling.
    var ipa: UInt64?
    /// Who had the lock when the wait began, or was seen to have it first; nil where no probe told.
    var holder: HolderEntry?
  }

  /// Who had the lock that another thread waited for.
  public struct HolderEntry: Encodable, Sendable {
    var tid: Int32
    var cpu: UInt16
    var operation: String
    var ipa: UInt64
    var size: UInt64
  }
}

extension ReplayReport.LongHoldEntry {
  init(_ hold: LongHold) {
    timeNs = hold.time.rawValue
    heldNs = hold.duration.rawValue
    tid = hold.tid.rawValue
    cpu = hold.cpu.rawValue
    mode = hold.mode.name
    operation = hold.operation.kind.reportName
    ipa = hold.operation.address.rawValue
    size = hold.operation.size
  }
}

extension ReplayReport.LongWaitEntry {
  init(_ wait: LongWait) {
    timeNs = wait.time.rawValue
    waitedNs = wait.duration.rawValue
    tid = wait.tid.rawValue
    cpu = wait.cpu.rawValue
    mode = wait.mode.name
    operation = wait.operation?.kind.reportName
    ipa = (wait.operation?.address ?? wait.faultAddress)?.rawValue
    holder = wait.holder.map {
      ReplayReport.HolderEntry(
        tid: $0.tid.rawValue, cpu: $0.cpu.rawValue, operation: $0.operation.kind.reportName,
        ipa: $0.operation.address.rawValue, size: $0.operation.size)
    }
  }
}
