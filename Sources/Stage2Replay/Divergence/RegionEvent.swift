internal import KVMTrace
public import KVMTypes

/// What happened to a region of guest memory: one event, and what KVM made of it.
public struct RegionEvent: Hashable, Sendable {
  /// What happened.
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// A guest fault by status.
    case translationFault, permissionFault, accessFault, otherFault
    /// What a notifier asks for.
    case unmap, age, testAge
    /// A slot was deleted or moved away.
    case slotRemoval
    /// Dirty logging began.
    case writeProtection
    /// vCPUs were initialised again, which unmaps all slots.
    case vcpuInit
  }

  /// What KVM did.
  public enum Effect: UInt8, Hashable, Sendable, CaseIterable {
    /// Nothing.
    case nothing
    /// It tried to, and got -EAGAIN or another error.
    case again
    /// It mapped a page, or a block.
    case mappedPage, mappedBlock
    /// It added rights, or set the access flag.
    case relaxed, madeYoung
    /// What the event asks for.
    case asked
  }

  /// How a guest touched memory.
  public enum Access: UInt8, Hashable, Sendable, CaseIterable {
    /// A fault's access.
    case read, write, exec
    /// The CPU walked the guest's own table.
    case stage1Walk
    /// The event is none of a guest.
    case none
  }

  /// When: for a fault the end of its window.
  public var time: Nanoseconds
  /// The first address.
  public var ipa: IPA
  /// How many of the host's pages are concerned.
  public var pages: UInt32
  /// The thread.
  public var tid: ThreadID
  /// The processor.
  public var cpu: CPUIndex
  /// What happened.
  public var kind: Kind
  /// The level of a fault.
  public var level: TranslationLevel?
  /// How the guest touched the memory.
  public var access: Access
  /// What KVM did.
  public var effect: Effect
}

extension RegionEvent {
  /// A fault, and what it did.
  @inline(__always)
  init(_ fault: SettledFault, at time: Nanoseconds, _ effect: FaultEffect) {
    self.time = time
    ipa = fault.page
    pages = 1
    tid = fault.tid
    cpu = fault.cpu
    kind =
      switch fault.kind {
      case .translation: .translationFault
      case .permission: .permissionFault
      case .accessFlag: .accessFault
      default: .otherFault
      }
    level = fault.level
    access = fault.isStage1Walk ? .stage1Walk : fault.isExec ? .exec : fault.isWrite ? .write : .read
    self.effect =
      switch effect {
      case .nothing: .nothing
      case .again: .again
      case .madeYoung: .madeYoung
      case .relaxed: .relaxed
      case .mapped(let level, _, _, _): level < .l3 ? .mappedBlock : .mappedPage
      }
  }
}
