internal import KVMTypes
package import Stage2Model

/// One call of a stage-2 function, or one that makes or looks at a VM: what a follower is told.
///
/// Its memory is what goes through a ring and into a history, on one machine and for one run.
package struct StageCall: BitwiseCopyable, Sendable {
  /// What is called.
  package enum Function: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    /// A VM appears: `prot` says which path and whether it is protected, `size` the bits of an IPA, `ipa` the features, `pfn` what
    /// sets its made-up frames apart.
    case create
    case map, unmap, wrprotect, testClearYoung, relaxPerms, mkyoung, flush, split
    case destroyRange, destroyPGD
    case topUpMemcache, freeMemcache, topUpSplitCache, freeSplitCache, loadVCPU
    case flushTLBs, flushTLBRange, gracePeriod, takeByForce
    /// Nothing is called: what there is of the VM is told.
    case look
    /// The VM is gone.
    case release

    /// What reports call it.
    package var name: String {
      switch self {
      case .create: "create"
      case .map: "map"
      case .unmap: "unmap"
      case .wrprotect: "wrprotect"
      case .testClearYoung: "test_clear_young"
      case .relaxPerms: "relax_perms"
      case .mkyoung: "mkyoung"
      case .flush: "flush"
      case .split: "split"
      case .destroyRange: "destroy_range"
      case .destroyPGD: "destroy_pgd"
      case .topUpMemcache: "topup_memcache"
      case .freeMemcache: "free_memcache"
      case .topUpSplitCache: "topup_split_cache"
      case .freeSplitCache: "free_split_cache"
      case .loadVCPU: "load_vcpu"
      case .flushTLBs: "flush_remote_tlbs"
      case .flushTLBRange: "flush_remote_tlbs_range"
      case .gracePeriod: "grace_period"
      case .takeByForce: "force_reclaim"
      case .look: "look"
      case .release: "release"
      }
    }

    /// Whether the model's answer decides what comes next in a replay.
    package var isAnswered: Bool {
      switch self {
      case .map, .unmap, .wrprotect, .testClearYoung, .relaxPerms, .flush, .split, .takeByForce: true
      default: false
      }
    }

    /// Whether it concerns an address, of which a walk then tells what has become.
    var isOfAddress: Bool {
      switch self {
      case .map, .relaxPerms, .mkyoung, .split, .takeByForce: true
      default: false
      }
    }
  }

  /// In place of a VM: the call is a mark behind all calls before it.
  static let everyVM = UInt32.max

  /// Its number among all calls, from 0.
  package var number: UInt64 = 0
  /// The VM, as the report numbers them.
  package var vm: UInt32
  package var function: Function
  /// `CallCause.Kind`.
  private var causeKind: UInt8 = 0
  /// `mkold` of test_clear_young.
  package var markOld = false
  /// It corrects the model: no kernel makes it.
  package var isCorrection = false
  package var vcpu: Int32 = 0
  /// What the model returned.
  package var expected: Int32 = 0
  package var ipa: UInt64 = 0
  /// Bytes, pages of a top-up, or the processor of a load.
  package var size: UInt64 = 0
  /// The first frame of a map.
  package var pfn: UInt64 = 0
  package var prot: UInt64 = 0
  private var time: UInt64 = 0
  private var tid: Int32 = 0
  private var cpu: UInt16 = 0
  private var unused: UInt16 = 0

  package init(_ function: Function, vm: UInt32) {
    self.function = function
    self.vm = vm
  }

  /// What it is called for.
  package var cause: CallCause {
    get {
      CallCause(
        CallCause.Kind(rawValue: causeKind) ?? .other, time: Nanoseconds(time), cpu: CPUIndex(cpu),
        tid: ThreadID(tid))
    }
    set {
      causeKind = newValue.kind.rawValue
      time = newValue.time.rawValue
      tid = newValue.tid.rawValue
      cpu = newValue.cpu.rawValue
    }
  }

  /// The words that it takes.
  static var words: Int { MemoryLayout<StageCall>.size / MemoryLayout<UInt64>.size }

  /// That of a VM of `shape` that appears.
  package static func create(_ shape: ForeignShape, vm: UInt32) -> StageCall {
    var call = StageCall(.create, vm: vm)
    call.ipa = shape.features
    call.size = UInt64(shape.ipaBits)
    call.prot = (shape.isPKVM ? 1 : 0) | (shape.isProtected ? 2 : 0) | shape.pageSize.shift << 8
    call.pfn = shape.frameOffset(ofVM: Int(vm))
    return call
  }

  /// What the VM is that `create` makes; nil of another call, and where no kernel has such a table.
  package var shape: ForeignShape? {
    guard function == .create, prot >> 8 < 64, let pageSize = PageSize(bytes: 1 << (prot >> 8)),
      let table = try? Stage2Geometry(pageSize: pageSize, ipaBits: Int(clamping: size))
    else { return nil }
    return ForeignShape(
      isPKVM: prot & 1 != 0, isProtected: prot & 2 != 0, pageSize: pageSize, ipaBits: table.ipaBits,
      features: ipa)
  }
}
