public import KVMTypes

/// What a backend is called for: the event that whoever drives it makes the calls for.
@frozen
public struct CallCause: Hashable, Sendable {
  /// What happened.
  @frozen
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// Something that no event tells.
    case other
    /// A guest's fault (`kvm_guest_fault`).
    case fault
    /// The VMM's memory went (`kvm_unmap_hva_range`).
    case unmap
    /// It was aged, or tested for its age (`kvm_age_hva`, `kvm_test_age_hva`).
    case age
    /// A slot was write-protected, for it begins to log.
    case writeProtection
    /// The VMM reads or clears a dirty log, or ends it.
    case dirtyLog
    /// A slot goes.
    case slotRemoval
    /// A vCPU is initialised again.
    case vcpuInit
    /// The VM ends.
    case end

    /// The words for it.
    public var name: String {
      switch self {
      case .other: "no event"
      case .fault: "guest fault"
      case .unmap: "unmap notification"
      case .age: "age notification"
      case .writeProtection: "write protection of a slot"
      case .dirtyLog: "dirty log"
      case .slotRemoval: "removal of a slot"
      case .vcpuInit: "initialisation of a vCPU"
      case .end: "end of the VM"
      }
    }
  }

  /// What happened.
  public var kind: Kind
  /// The processor.
  public var cpu: CPUIndex
  /// The thread.
  public var tid: ThreadID
  /// When.
  public var time: Nanoseconds

  /// An event.
  @inlinable
  public init(_ kind: Kind, time: Nanoseconds, cpu: CPUIndex, tid: ThreadID) {
    self.kind = kind
    self.cpu = cpu
    self.tid = tid
    self.time = time
  }
}
